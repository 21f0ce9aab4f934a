"""Six clinics of a trial (ACTG 175) learn together who gets worse; and an aggregator lies once, and pays for it.

Each clinic treats other patients: haemophilia centres, drug clinics, women's clinics, and clinics for the untreated,
the briefly and the long treated. From what is known at week 20: does CD4 fall by half, AIDS or death follow later?

    python examples/consortium_hospitals.py [FOLDER] [--seeds 10] [--save FILE]
"""

from __future__ import annotations

from parts import DATA, Play, ask, asked, by_group

from troth.learn.data import Part, Schema
from troth.learn.sets import Consortium
from troth.learn.site import Fit
from troth.learn.study import Question, auc
from troth.learn.training import Run

CLINICS = ("haemophilia", "drugs", "women", "untreated", "briefly treated", "long treated")
TABLE = DATA / "actg175" / "actg175.csv"


def records() -> Part:
    """2,115 patients of the trial without an event by week 20."""
    data = TABLE.read_bytes()
    columns = data.split(b"\n", 1)[0].decode("ascii").split(",")[:-1]
    return Part.from_bytes(data, Schema(tuple(columns), 0, classes=("stable", "worse"), source="ACTG 175, 1996"))


def clinics(data: Part) -> list[int]:
    """Which clinic treats each patient: the first that fits."""
    column = {name: data.features[:, at].tolist() for at, name in enumerate(data.schema.columns)}
    return [0 if hemophilia else 1 if drugs else 2 if not male else 4 if briefly else 5 if longer else 3
            for hemophilia, drugs, male, briefly, longer in zip(*(column[name] for name in (
                "hemophilia", "drugs", "male", "treated_1_52_weeks", "treated_longer")), strict=True)]


def question() -> Question:
    """What is compared, and how it is trained."""
    data = records()
    groups = clinics(data)

    def split(seed: int) -> Consortium:
        return by_group(data, groups, seed)

    return Question("ACTG 175, 2,115 patients", tuple(f"{name} alone" for name in CLINICS), split,
                    Run(20, Fit(10, 0.5, 0.03)), auc, "python examples/consortium_hospitals.py")


def main() -> None:
    """The study, then two rounds with deals; the aggregator lies in the second."""
    words, asking = asked(__doc__), question()
    ask("hospitals", asking, words)
    if words.play:
        play = Play(words.folder, asking, words.seeds[0], 2)
        play.round(1)
        play.round(2, lies=True)
        play.end()


if __name__ == "__main__":
    main()
