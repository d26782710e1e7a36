// What the theme leaves out: names for those who hear the page or use its keyboard, and a search that reads questions.
(function () {
  "use strict";
  function name() {
    var search = document.querySelector(".md-search[role=dialog]");
    if (search) { search.setAttribute("aria-label", "Search"); }
    document.querySelectorAll(".md-typeset__scrollwrap, .highlight pre").forEach(function (region) { region.tabIndex = 0; });
  }
  if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", name); } else { name(); }

  // The theme searches each word as the beginning of one, "I" and "do" as well. A question is searched by its other words.
  var EMPTY = new Set(("a an and are as at be by can did do does for from get gets give go goes happen happens has have how i if in " +
    "is it its mean means my of on or should that the this to use was what when where which who why will with").split(" "));
  var QUERY = 2;  // the kind of message by which the page asks the index
  var post = Worker.prototype.postMessage;
  Worker.prototype.postMessage = function (message) {
    if (message && message.type === QUERY && typeof message.data === "string") {
      var words = message.data.split(/\s+/);
      var kept = words.filter(function (word) { return !EMPTY.has(word.toLowerCase().replace(/[^a-z]/g, "")); });
      if (kept.length) { message.data = kept.join(" "); }
    }
    return post.apply(this, arguments);
  };
})();
