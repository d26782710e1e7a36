// Searches over recorded candidates, replayed in the browser without a network: see concepts/explore.md.
// tests/unit_tests/docs/test_explore.py compares the decisions with those of the package.
(function () {
  "use strict";
  var CAP = 32, UNKNOWN_EXCESS = 0.3, SECOND_MODE = 0.2, FEW = 6, CLEARLY = 3;

  // -- the truncated normal

  function logTail(x) { // log P(Z > x); erfc by its Chebyshev fit, relative error < 1.2e-7 (Numerical Recipes, 6.2)
    var z = Math.abs(x) / Math.SQRT2, t = 1 / (1 + 0.5 * z);
    var p = [0.17087277, -0.82215223, 1.48851587, -1.13520398, 0.27886807, -0.18628806, 0.09678418, 0.37409196, 1.00002368, -1.26551223];
    var log = Math.log(t / 2) - z * z + p.reduce(function (sum, c) { return sum * t + c; }, 0);
    return x >= 0 ? log : Math.log1p(-Math.exp(log));
  }

  function logBetween(a, b) { // log P(a < Z < b)
    if (a > 0) { return logTail(a) + Math.log1p(-Math.exp(logTail(b) - logTail(a))); }
    return b < 0 ? logBetween(-b, -a) : Math.log1p(-Math.exp(logTail(b)) - Math.exp(logTail(-a)));
  }

  function reaching(law, target) { // P(S >= target)
    if (target >= 1) { return 0; }
    var top = (1 - law.mu) / law.sigma;
    return Math.min(1, Math.exp(logBetween((target - law.mu) / law.sigma, top) - logBetween(-law.mu / law.sigma, top)));
  }

  function density(law, x) {
    var z = (x - law.mu) / law.sigma;
    return Math.exp(-z * z / 2 - logBetween(-law.mu / law.sigma, (1 - law.mu) / law.sigma)) / (law.sigma * Math.sqrt(2 * Math.PI));
  }

  function highest(value, low, high) { // of a function with one peak, by golden section
    var ratio = (Math.sqrt(5) - 1) / 2, a = high - ratio * (high - low), b = low + ratio * (high - low);
    var atA = value(a), atB = value(b);
    for (var i = 0; i < 44; i++) {
      if (atA < atB) { low = a; a = b; atA = atB; b = low + ratio * (high - low); atB = value(b); }
      else { high = b; b = a; atB = atA; a = high - ratio * (high - low); atA = value(a); }
    }
    return (low + high) / 2;
  }

  function fit(scores) { // maximum likelihood for mu in [-1, 2] and sigma in [0.001, 1]; for each sigma one peak in mu
    var mean = scores.reduce(function (sum, s) { return sum + s; }, 0) / scores.length;
    var spread = scores.reduce(function (sum, s) { return sum + (s - mean) * (s - mean); }, 0) / scores.length;
    function likelihood(mu, sigma) {
      return -Math.log(sigma) - ((mean - mu) * (mean - mu) + spread) / (2 * sigma * sigma) - logBetween(-mu / sigma, (1 - mu) / sigma);
    }
    function best(sigma) { return highest(function (mu) { return likelihood(mu, sigma); }, -1, 2); }
    var sigma = Math.exp(highest(function (u) { return likelihood(best(Math.exp(u)), Math.exp(u)); }, Math.log(1e-3), 0));
    return { mu: best(sigma), sigma: sigma };
  }

  function optimalN(law, target, confidence) { // N* = ceil(log(1 - confidence) / log F(target))
    var reach = reaching(law, target);
    if (reach >= 1) { return 1; }
    return reach > 1e-12 ? Math.max(1, Math.ceil(Math.log(1 - confidence) / Math.log1p(-reach))) : Infinity;
  }

  // -- the rule: that of the default where candidates have scores alone

  function recordGain(scores) { // by how much the next score is expected to exceed the best one
    var best = Math.max.apply(null, scores);
    var top = scores.slice().sort(function (a, b) { return b - a; }).slice(0, 4), least = top.pop();
    var excess = top.length ? top.reduce(function (sum, s) { return sum + s; }, 0) / top.length - least : UNKNOWN_EXCESS;
    return (Math.min(excess, 0.5 * (1 - best)) + SECOND_MODE * (1 - best)) / (scores.length + 1);
  }

  function isRising(scores) { // the later half is clearly better than the earlier one
    var half = Math.floor(scores.length / 2);
    if (half < FEW) { return false; }
    var parts = [scores.slice(0, half), scores.slice(-half)], squares = 0;
    var means = parts.map(function (part) { return part.reduce(function (sum, s) { return sum + s; }, 0) / half; });
    parts.forEach(function (part, i) { part.forEach(function (s) { squares += (s - means[i]) * (s - means[i]); }); });
    return means[1] - means[0] > CLEARLY * Math.sqrt(squares / (half * (half - 1))) + 1e-9;
  }

  function isOutOfReach(scores, left, level) { // by a bound of the chance of a further score that holds at every n
    var logs = Math.log(level), missed = scores.length;
    for (var k = 1; k <= missed; k++) { logs += Math.log1p(-0.5 / k); }
    return left > 0 && -Math.expm1(logs * left / missed) < level && !isRising(scores);
  }

  function search(scores, settings) { // how many candidates are drawn, which is returned, and why the search ended
    var seen = [], chosen = 0, why = "cap";
    for (var n = 1; n <= CAP; n++) {
      seen.push(scores[n - 1]);
      if (scores[n - 1] > scores[chosen]) { chosen = n - 1; }
      if (settings.target !== null && scores[chosen] >= settings.target) { why = "target"; break; }
      if (n === CAP) { break; }
      if (settings.target !== null && isOutOfReach(seen, CAP - n, 1 - settings.confidence)) { why = "reach"; break; }
      if (settings.target === null && recordGain(seen) < settings.price / CAP) { why = "price"; break; }
    }
    return { drawn: seen.length, chosen: chosen, why: why, scores: seen };
  }

  // -- the recorded pools, with a better or a worse verifier

  function chance(i, j) { // a number in [0, 1) that looks random and is always the same (splitmix32)
    var x = Math.imul(i + 1, 0x9e3779b9) ^ Math.imul(j + 1, 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 16), 0x21f0aaad);
    x = Math.imul(x ^ (x >>> 15), 0x735a2d97);
    return ((x ^ (x >>> 15)) >>> 0) / 4294967296;
  }

  function question(recorded, place, quality) { // quality 0 as recorded, -1 by chance, +1 perfect
    var own = recorded.scores.map(function (s) { return s / 1000; });
    var worth = recorded.right ? recorded.right.split("").map(Number) : own;
    var best = own.slice().sort(function (a, b) { return b - a; });
    var order = own.map(function (_, i) { return i; }).sort(function (a, b) { return worth[b] - worth[a] || own[b] - own[a] || a - b; });
    var perfect = [];
    order.forEach(function (i, rank) { perfect[i] = best[rank]; });
    var scores = own.map(function (s, i) {
      if (chance(2 * place, i) >= Math.abs(quality)) { return s; }
      return quality > 0 ? perfect[i] : own[Math.floor(chance(2 * place + 1, i) * own.length)];
    });
    return { scores: scores, worth: worth };
  }

  function preference(questions) { // how often the verifier scores the better of two candidates of a question higher
    var pairs = 0, won = 0;
    questions.forEach(function (one) {
      for (var i = 0; i < one.worth.length; i++) {
        for (var j = 0; j < one.worth.length; j++) {
          if (one.worth[i] > one.worth[j]) {
            pairs += 1;
            won += one.scores[i] > one.scores[j] ? 1 : one.scores[i] === one.scores[j] ? 0.5 : 0;
          }
        }
      }
    });
    return won / pairs;
  }

  function replay(pool, settings) { // two searches a question: its candidates in the order in which they were recorded
    var questions = pool.map(function (one, place) { return question(one, place, settings.quality); });
    var searches = [], curve = new Array(CAP).fill(0);
    questions.forEach(function (one) {
      for (var from = 0; from + CAP <= one.scores.length; from += CAP) {
        var scores = one.scores.slice(from, from + CAP), found = search(scores, settings), best = 0;
        searches.push({ drawn: found.drawn, chosen: found.chosen, why: found.why, worth: one.worth[from + found.chosen] });
        for (var n = 0; n < CAP; n++) {
          if (scores[n] > scores[best]) { best = n; }
          curve[n] += one.worth[from + best];
        }
      }
    });
    function mean(name) { return searches.reduce(function (sum, one) { return sum + one[name]; }, 0) / searches.length; }
    return {
      searches: searches, samples: mean("drawn"), worth: mean("worth"), preference: preference(questions),
      curve: curve.map(function (sum) { return sum / searches.length; })
    };
  }

  if (typeof module !== "undefined") {
    module.exports = { fit: fit, optimalN: optimalN, reaching: reaching, question: question, replay: replay };
    return;
  }

  // -- the page

  var WHY = {
    cap: "the cap", target: "the target was reached", reach: "the target is out of reach",
    price: "no further candidate is worth its price"
  };
  var FONT = 13;

  function line(points, name) {
    return '<path class="' + name + '" d="' + points.map(function (at, i) { return (i ? "L" : "M") + at[0].toFixed(1) + " " + at[1].toFixed(1); }).join("") + '"/>';
  }

  function text(x, y, words, anchor, name) {
    return '<text class="' + (name || "") + '" x="' + x.toFixed(1) + '" y="' + y.toFixed(1) + '" text-anchor="' + (anchor || "middle") + '">' + words + "</text>";
  }

  function frame(svg, height) { // a picture in the pixels of the screen, so that its letters keep their size
    var width = Math.max(240, Math.round(svg.getBoundingClientRect().width));
    svg.setAttribute("viewBox", "0 0 " + width + " " + height);
    svg.setAttribute("height", height);
    var left = 48, right = width - 14, top = 12, bottom = height - 38;
    return {
      svg: svg, left: left, right: right, top: top, bottom: bottom, parts: [],
      x: function (share) { return left + (right - left) * share; },
      y: function (share) { return bottom - (bottom - top) * share; }
    };
  }

  function levels(plot, low, high) { // lines across and their figures
    var digits = Math.abs(25 * (high - low) - Math.round(25 * (high - low))) < 1e-9 ? 2 : 3;
    for (var i = 0; i <= 4; i++) {
      var share = i / 4, at = plot.y(share);
      plot.parts.push('<line class="grid" x1="' + plot.left + '" x2="' + plot.right + '" y1="' + at + '" y2="' + at + '"/>');
      plot.parts.push(text(plot.left - 6, at + FONT / 3, (low + (high - low) * share).toFixed(digits), "end"));
    }
  }

  function below(plot, marks, place, words) {
    marks.forEach(function (mark) { plot.parts.push(text(plot.x(place(mark)), plot.bottom + 16, mark)); });
    plot.parts.push(text((plot.left + plot.right) / 2, plot.bottom + 33, words));
  }

  function drawQuestion(svg, one, found, law, target) { // its scores, and the law that was learned from those drawn
    var plot = frame(svg, 220), columns = {}, counts = [], most = 1;
    for (var i = 0; i < CAP; i++) {
      var column = Math.min(39, Math.floor(one.scores[i] * 40));
      counts.push(columns[column] = (columns[column] || 0) + 1);
      most = Math.max(most, columns[column]);
    }
    var curve = [], peak = 0, x;
    for (x = 0; x <= 100; x++) { peak = Math.max(peak, density(law, x / 100)); }
    for (x = 0; x <= 100; x++) { curve.push([plot.x(x / 100), plot.y(0.92 * density(law, x / 100) / peak)]); }
    plot.parts.push(line(curve.concat([[plot.right, plot.bottom], [plot.left, plot.bottom]]), "law"));
    below(plot, ["0", "0.25", "0.5", "0.75", "1"], Number, "score");
    plot.parts.push('<line class="aim" x1="' + plot.x(target) + '" x2="' + plot.x(target) + '" y1="' + plot.top + '" y2="' + plot.bottom + '"/>');
    plot.parts.push(text(plot.x(target) - 5, plot.top + 10, "τ", "end"));
    var step = Math.min(12, (plot.bottom - plot.top - 8) / most), radius = Math.min(4.5, step / 2);
    for (i = 0; i < CAP; i++) {
      var cx = plot.x((Math.min(39, Math.floor(one.scores[i] * 40)) + 0.5) / 40), cy = plot.bottom - 6 - step * (counts[i] - 1);
      var kind = (i < found.drawn ? "drawn" : "left") + (i === found.chosen ? " chosen" : "");
      plot.parts.push('<circle class="' + kind + '" cx="' + cx.toFixed(1) + '" cy="' + cy.toFixed(1) + '" r="' + (i === found.chosen ? radius + 2 : radius).toFixed(1) + '"/>');
    }
    svg.innerHTML = plot.parts.join("");
  }

  function drawBound(svg, law, target, confidence, least) { // 1 - F(target)^N
    var plot = frame(svg, 220), reach = reaching(law, target), curve = [];
    levels(plot, 0, 1);
    for (var n = 1; n <= CAP; n++) { curve.push([plot.x((n - 1) / (CAP - 1)), plot.y(1 - Math.pow(1 - reach, n))]); }
    plot.parts.push('<line class="aim" x1="' + plot.left + '" x2="' + plot.right + '" y1="' + plot.y(confidence) + '" y2="' + plot.y(confidence) + '"/>');
    plot.parts.push(line(curve, "curve"));
    if (least <= CAP) {
      var at = plot.x((least - 1) / (CAP - 1));
      plot.parts.push('<line class="aim" x1="' + at + '" x2="' + at + '" y1="' + plot.y(1) + '" y2="' + plot.bottom + '"/>');
      plot.parts.push(text(at + (least > 26 ? -6 : 6), plot.bottom - 8, "N* = " + least, least > 26 ? "end" : "start", "said"));
    } else {
      plot.parts.push(text(plot.right - 4, plot.bottom - 8, "N* is above 32", "end", "said"));
    }
    below(plot, [1, 8, 16, 24, 32], function (mark) { return (mark - 1) / (CAP - 1); }, "candidates N");
    svg.innerHTML = plot.parts.join("");
  }

  function drawPool(svg, figures) { // what each fixed number of candidates brings, and the search
    var plot = frame(svg, 240), lowest = Math.min.apply(null, figures.curve), highest = Math.max.apply(null, figures.curve);
    var low = Math.floor(20 * lowest - 0.2) / 20, high = Math.min(1, Math.ceil(20 * highest + 0.2) / 20);
    function height(value) { return plot.y((value - low) / (high - low)); }
    levels(plot, low, high);
    plot.parts.push(line(figures.curve.map(function (value, i) { return [plot.x(i / (CAP - 1)), height(value)]; }), "curve"));
    var x = plot.x((figures.samples - 1) / (CAP - 1)), y = height(figures.worth);
    var isAbove = figures.worth > figures.curve[Math.round(figures.samples) - 1]; // its name does not stand on the line
    plot.parts.push('<circle class="chosen drawn" cx="' + x.toFixed(1) + '" cy="' + y.toFixed(1) + '" r="7"/>');
    plot.parts.push(text(x + (figures.samples > 22 ? -11 : 11), y + (isAbove ? -12 : 22), "the search", figures.samples > 22 ? "end" : "start", "said"));
    below(plot, [1, 8, 16, 24, 32], function (mark) { return (mark - 1) / (CAP - 1); }, "candidates a question");
    svg.innerHTML = plot.parts.join("");
  }

  function page(root) {
    var pools = JSON.parse(document.getElementById("explore-pools").textContent), waiting = false;
    function at(name) { return root.querySelector("#explore-" + name); }
    function number(name, digits) {
      var value = Number(at(name).value);
      at(name + "-value").textContent = value.toFixed(digits);
      return value;
    }

    function list() {
      at("question").innerHTML = "";
      pools[at("pool").value].forEach(function (one, i) {
        at("question").add(new Option(one.prompt.replace(/^Q: /, "").replace(/\nA:$/, " ="), i));
      });
    }

    function draw() {
      waiting = false;
      var pool = pools[at("pool").value], place = Number(at("question").value), aims = at("aims").checked;
      var target = number("target", 2), confidence = number("confidence", 2), price = number("price", 3), quality = number("quality", 1);
      at("price").disabled = aims;
      var settings = { target: aims ? target : null, confidence: confidence, price: price, quality: quality };
      var figures = replay(pool, settings), one = question(pool[place], place, quality);
      var found = search(one.scores.slice(0, CAP), settings), law = fit(found.scores), least = optimalN(law, target, confidence);
      at("quality-value").textContent = (quality === 0 ? "as recorded" : (quality > 0 ? "+" : "−") + Math.abs(quality).toFixed(1)) +
        ", prefers the better of two in " + Math.round(100 * figures.preference) + " of 100 pairs";
      drawQuestion(at("scores"), one, found, law, target);
      drawBound(at("bound"), law, target, confidence, least);
      drawPool(at("all"), figures);
      var worth = one.worth[found.chosen], recorded = pool[place];
      at("one-said").textContent = "The search draws " + found.drawn + " of 32 candidates (" + WHY[found.why] + ") and returns " +
        (recorded.answers ? "“" + recorded.answers[found.chosen] + "”, which is " + (worth ? "right" : "wrong") + ", with a score of " : "the one with a score of ") +
        one.scores[found.chosen].toFixed(2) + ". " +
        (Number.isFinite(least) && least < 1e6 ? "By the scores drawn, N* = " + least + " candidates reach τ with probability α." : "By the scores drawn, no number of candidates reaches τ.");
      at("all-said").textContent = figures.searches.length + " searches: " + figures.samples.toFixed(1) + " candidates on average, " +
        (recorded.right ? (100 * figures.worth).toFixed(1) + " % right" : "a score of " + figures.worth.toFixed(3)) + "; all 32 candidates: " +
        (recorded.right ? (100 * figures.curve[CAP - 1]).toFixed(1) + " %" : figures.curve[CAP - 1].toFixed(3)) + ", one candidate: " +
        (recorded.right ? (100 * figures.curve[0]).toFixed(1) + " %" : figures.curve[0].toFixed(3)) + ".";
      at("all-title").textContent = recorded.right ? "All questions: share of right answers" : "All questions: true score of what is returned";
    }

    function later() {
      if (!waiting) { waiting = true; window.requestAnimationFrame(draw); }
    }
    at("pool").addEventListener("change", list);
    root.addEventListener("input", later);
    root.addEventListener("change", later);
    window.addEventListener("resize", later);
    list();
    draw();
  }

  function start() {
    var root = document.getElementById("explore");
    if (root && !root.dataset.ready) {
      root.dataset.ready = "yes";
      page(root);
    }
  }
  if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", start); } else { start(); }
})();
