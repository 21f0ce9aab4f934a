"use strict";
// The report's drop zone: takes a bundle and perhaps a trust file, asks the verifier, shows the numbered steps.
(function (T) {
  const zone = document.getElementById("check");
  if (!zone) return;
  const answer = document.getElementById("answer");
  const MOST = 512 * 1024 * 1024;
  const chosen = { bundle: null, trust: null };
  let asked = 0;

  function make(tag, says, style) {
    const element = document.createElement(tag);
    element.textContent = says;
    if (style) element.className = style;
    return element;
  }

  // What the answer means, in a sentence.
  function sentence(report, trusted) {
    const stopped = report.steps.find((step) => step.outcome === report.outcome);
    const where = stopped ? "step " + stopped.n + ", " + stopped.name : "";
    if (report.outcome === "malformed") {
      return stopped.n ? "This file cannot be read as a bundle (" + where + ")." : "The trust file cannot be read.";
    }
    if (report.outcome === "refuted") return "Refuted at " + where + ": something was changed or contradicts your trust file.";
    if (report.outcome === "pending") return "Not anchored yet (" + where + ").";
    const open = report.steps.filter((step) => step.outcome === "undecidable").map((step) => step.n);
    if (open.length === 1 && open[0] === 11) {
      return "Everything that this page checks holds. The policy is applied by troth verify, so the answer stays open here.";
    }
    if (!trusted && open[0] === 8) {
      return "Consistent with itself; nobody you trust vouches for it. Add your trust file.";
    }
    return "It could not be decided here (" + where + ").";
  }

  function show(report, names) {
    const table = make("table", "", "steps"), head = table.createTHead().insertRow(), body = table.createTBody();
    for (const name of ["step", "what", "outcome", "detail"]) head.append(make("th", name));
    for (const step of report.steps) {
      const row = body.insertRow();
      row.append(make("td", String(step.n)), make("td", step.name));
      row.insertCell().append(make("span", step.outcome, "mark " + step.outcome));
      row.append(make("td", step.detail));
    }
    const title = make("h3", "");
    title.append(make("span", report.outcome, "mark " + report.outcome), report.as_of ? ", as of " + report.as_of : "");
    answer.replaceChildren(title, make("p", sentence(report, Boolean(chosen.trust))), make("p", names, "soft"), table);
    answer.dataset.outcome = report.outcome;
  }

  async function check() {
    const { bundle, trust } = chosen, turn = (asked += 1);
    delete answer.dataset.outcome;
    if (!bundle) {
      answer.replaceChildren(make("p", "Now the bundle: a file that ends in .troth."));
      return;
    }
    if (bundle.size > MOST) {
      answer.replaceChildren(make("p", "This bundle is too large for a page; use troth verify."));
      return;
    }
    answer.replaceChildren(make("p", "Checking …"));
    try {
      const [data, pins] = await Promise.all([bundle, trust].map((file) => file && file.arrayBuffer()));
      const report = await T.verify(new Uint8Array(data), pins && new Uint8Array(pins));
      const names = bundle.name + (trust ? ", against " + trust.name : ", without a trust file");
      if (turn === asked) show(report, names);
    } catch (error) {
      answer.replaceChildren(make("p", "The file could not be read, or this page failed: " + error));
    }
  }

  function take(files) {
    for (const file of files) chosen[/\.json$/i.test(file.name) ? "trust" : "bundle"] = file;
    check();
  }
  document.getElementById("bundle-file").addEventListener("change", (event) => {
    [chosen.bundle = null] = event.target.files;
    check();
  });
  document.getElementById("trust-file").addEventListener("change", (event) => {
    [chosen.trust = null] = event.target.files;
    check();
  });
  zone.addEventListener("dragover", (event) => {
    event.preventDefault();
    zone.classList.add("over");
  });
  zone.addEventListener("dragleave", () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    zone.classList.remove("over");
    take(event.dataTransfer.files);
  });
  // A file dropped beside the zone must not replace the page.
  for (const name of ["dragover", "drop"]) window.addEventListener(name, (event) => event.preventDefault());
})(globalThis.Troth ??= {});
