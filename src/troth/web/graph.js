"use strict";
// Choosing a claim in a lineage graph: its details, what it rests on, what rests on it. Arrow keys move between claims.
(function () {
  const graph = document.querySelector("svg.graph");
  if (!graph) return;
  const nodes = Array.from(graph.querySelectorAll("g.node"));
  const edges = Array.from(graph.querySelectorAll("path.edge"), (path) => ({
    path, from: Number(path.dataset.from), to: Number(path.dataset.to),
  }));
  const picked = document.getElementById("picked");

  function reach(start, near, far) {
    const seen = new Set([start]);
    const stack = [start];
    while (stack.length) {
      const at = stack.pop();
      for (const edge of edges) {
        if (edge[near] === at && !seen.has(edge[far])) {
          seen.add(edge[far]);
          stack.push(edge[far]);
        }
      }
    }
    return seen;
  }

  function say(node, below, above) {
    const data = node.dataset;
    picked.textContent = "";
    const who = document.createElement("strong");
    who.textContent = data.kind + (data.did ? " by " + data.who : "") + (data.state ? ", " + data.state : "");
    const id = document.createElement("code");
    id.textContent = data.claim;
    const rest = (below.size - 1) + " claims that it rests on, " + (above.size - 1) + " that rest on it.";
    picked.append(who, document.createElement("br"), id, document.createElement("br"), rest);
    if (data.did) {
      const did = document.createElement("code");
      did.textContent = data.did;
      picked.append(" Issuer ", did);
    }
  }

  function choose(at) {
    const below = reach(at, "from", "to");
    const above = reach(at, "to", "from");
    graph.classList.add("chosen");
    nodes.forEach((node, number) => {
      node.classList.toggle("on", below.has(number) || above.has(number));
      node.classList.toggle("picked", number === at);
      node.setAttribute("tabindex", number === at ? "0" : "-1");
    });
    for (const edge of edges) {
      const on = (below.has(edge.from) && below.has(edge.to)) || (above.has(edge.from) && above.has(edge.to));
      edge.path.classList.toggle("on", on);
    }
    say(nodes[at], below, above);
  }

  nodes.forEach((node, at) => {
    node.addEventListener("click", () => choose(at));
    node.addEventListener("focus", () => choose(at));
    node.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (step && nodes[at + step]) {
        event.preventDefault();
        nodes[at + step].focus();
      }
    });
  });
})();
