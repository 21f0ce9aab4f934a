"""Four utilities learn together to tell appliances by their current (PLAID); and one poisons, and pays for it.

Each has 70 % of the appliances of its own kind and a tenth of the others': where it is hot, where heating is electric,
kitchens, and offices at home. The model has a hidden layer.

    python examples/consortium_appliances.py [FOLDER] [--seeds 10] [--save FILE]
"""

from __future__ import annotations

from parts import DATA, Play, ask, asked

from troth.fixed.numbers import ONE
from troth.learn.data import Part, Schema
from troth.learn.sets import Consortium, divided
from troth.learn.site import Fit
from troth.learn.study import Question
from troth.learn.training import Run

UTILITIES = ("hot climate", "electric heating", "kitchens", "home offices")
OWN = {"air conditioner": 0, "compact fluorescent lamp": 3, "fan": 0, "fridge": 2, "hairdryer": 1, "heater": 1,
       "incandescent bulb": 1, "laptop": 3, "microwave": 2, "vacuum": 3, "washing machine": 2}
TABLE = DATA / "plaid" / "plaid.csv"


def records() -> Part:
    """1,074 measured appliances of 11 types."""
    data = TABLE.read_bytes()
    columns = data.split(b"\n", 1)[0].decode("ascii").split(",")[:-1]
    return Part.from_bytes(data, Schema(tuple(columns), 0, classes=tuple(OWN), source="PLAID, 2014"))


def question() -> Question:
    """What is compared, and how it is trained."""
    data = records()
    shares = [[70 if utility == own else 10 for utility in range(len(UTILITIES))] for own in OWN.values()]

    def split(seed: int) -> Consortium:
        return divided(data, seed, shares)

    return Question("PLAID, 1,074 appliances", tuple(f"{name} alone" for name in UTILITIES), split,
                    Run(20, Fit(20, 0.5, 0.001, 8 * ONE), hidden=(24,)),
                    command="python examples/consortium_appliances.py")


def main() -> None:
    """The study, then five rounds with deals; a utility poisons until its stake is gone."""
    words, asking = asked(__doc__), question()
    ask("appliances", asking, words)
    if words.play:
        play = Play(words.folder, asking, words.seeds[0], 5)
        for number in range(1, 6):
            play.round(number, poisoner="kitchens")
        play.end()


if __name__ == "__main__":
    main()
