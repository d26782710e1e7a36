// The bound and the price, on one page without a network: see concepts/explore.md.
(function () {
  "use strict";
  var CAP = 32, LEFT = 44, RIGHT = 628, TOP = 14, BOTTOM = 262;

  function normal(x) { // distribution function of the standard normal, Abramowitz and Stegun 26.2.17, error < 7.5e-8
    var t = 1 / (1 + 0.2316419 * Math.abs(x));
    var tail = Math.exp(-x * x / 2) / Math.sqrt(2 * Math.PI) * t *
      (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    return x >= 0 ? 1 - tail : tail;
  }

  function truncated(x, mean, spread) { // distribution function on [0, 1]
    var low = normal(-mean / spread), high = normal((1 - mean) / spread);
    return Math.min(1, Math.max(0, (normal((x - mean) / spread) - low) / (high - low)));
  }

  function expectedBest(n, mean, spread) { // integral of 1 - F(x)^n over [0, 1], by the trapezium rule
    var steps = 200, sum = 0;
    for (var i = 0; i <= steps; i++) {
      var value = 1 - Math.pow(truncated(i / steps, mean, spread), n);
      sum += i === 0 || i === steps ? value / 2 : value;
    }
    return sum / steps;
  }

  function quantile(p) { // of the standard normal, by bisection
    var low = -6, high = 6;
    for (var i = 0; i < 50; i++) { var middle = (low + high) / 2; if (normal(middle) < p) { low = middle; } else { high = middle; } }
    return (low + high) / 2;
  }

  function right(n, trust) { // the best of n is a right one: half the candidates are right, their scores `gap` higher
    var gap = Math.SQRT2 * quantile(Math.min(trust, 0.9999)), steps = 400, sum = 0, from = -6, to = 6 + gap;
    for (var i = 0; i <= steps; i++) {
      var x = from + (to - from) * i / steps;
      var density = Math.exp(-(x - gap) * (x - gap) / 2) / Math.sqrt(2 * Math.PI);
      var below = (normal(x) + normal(x - gap)) / 2;
      sum += density / 2 * n * Math.pow(below, n - 1) * (i === 0 || i === steps ? 0.5 : 1);
    }
    return sum * (to - from) / steps;
  }

  function needed(reach, confidence) {
    if (reach <= 0) { return Infinity; }
    if (reach >= 1) { return 1; }
    return Math.max(1, Math.ceil(Math.log(1 - confidence) / Math.log(1 - reach)));
  }

  function path(values) {
    return values.map(function (value, i) {
      var x = LEFT + (RIGHT - LEFT) * i / (CAP - 1), y = BOTTOM - (BOTTOM - TOP) * value;
      return (i ? "L" : "M") + x.toFixed(1) + " " + y.toFixed(1);
    }).join("");
  }

  function draw(root) {
    function value(name) {
      var number = Number(root.querySelector("#explore-" + name).value);
      root.querySelector("#explore-" + name + "-value").textContent = number.toFixed(name === "price" ? 3 : 2);
      return number;
    }
    var mean = value("mean"), spread = value("spread"), target = value("target"), confidence = value("confidence");
    var trust = value("trust"), price = value("price");
    var reach = 1 - truncated(target, mean, spread), counts = [];
    for (var n = 1; n <= CAP; n++) { counts.push(n); }
    var reached = counts.map(function (n) { return 1 - Math.pow(1 - reach, n); });
    var best = counts.map(function (n) { return expectedBest(n, mean, spread); });
    var accurate = counts.map(function (n) { return right(n, trust); });
    var stop = CAP;
    for (var i = 0; i + 1 < CAP; i++) { if (best[i + 1] - best[i] < price / CAP) { stop = i + 1; break; } }
    var least = needed(reach, confidence);
    var lines = [["Reaches τ", reached, "#3f51b5", ""], ["Expected best score", best, "#00796b", "6 3"], ["Right", accurate, "#c2410c", "2 3"]];
    var marks = [0, 0.25, 0.5, 0.75, 1].map(function (y) {
      var at = BOTTOM - (BOTTOM - TOP) * y;
      return '<line x1="' + LEFT + '" x2="' + RIGHT + '" y1="' + at + '" y2="' + at + '" stroke="currentColor" opacity=".15"/>' +
        '<text x="36" y="' + (at + 5) + '" text-anchor="end" font-size="15" fill="currentColor">' + y + "</text>";
    }).join("");
    var below = [1, 8, 16, 24, 32].map(function (n) {
      return '<text x="' + (LEFT + (RIGHT - LEFT) * (n - 1) / (CAP - 1)) + '" y="284" text-anchor="middle" font-size="15" fill="currentColor">' + n + "</text>";
    }).join("");
    var curves = lines.map(function (line, i) {
      return '<path d="' + path(line[1]) + '" fill="none" stroke="' + line[2] + '" stroke-width="3" stroke-dasharray="' + line[3] + '"/>' +
        '<text x="' + (LEFT + 200 * i) + '" y="299" font-size="15" fill="currentColor">' + ["━ ", "╌ ", "┈ "][i] + line[0] + "</text>";
    }).join("");
    root.querySelector("#explore-picture").innerHTML = marks + below + curves;
    root.querySelector("#explore-said").textContent =
      "N* = " + (Number.isFinite(least) && least < 1e6 ? least : "none: the target is out of reach") +
      ". At this price the search for the best score stops after " + stop + " candidates, with an expected best score of " +
      best[stop - 1].toFixed(2) + "; the returned one is right in " + Math.round(100 * accurate[stop - 1]) + " of 100 such questions.";
  }

  function start() {
    var root = document.getElementById("explore");
    if (root && !root.dataset.ready) {
      root.dataset.ready = "yes";
      root.addEventListener("input", function () { draw(root); });
      draw(root);
    }
  }
  if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", start); } else { start(); }
})();
