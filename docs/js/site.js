// What the theme leaves out, for those who hear the page or use its keyboard.
(function () {
  "use strict";
  function name() {
    var search = document.querySelector(".md-search[role=dialog]");
    if (search) { search.setAttribute("aria-label", "Search"); }
    document.querySelectorAll(".md-typeset__scrollwrap, .highlight pre").forEach(function (region) { region.tabIndex = 0; });
  }
  if (document.readyState === "loading") { document.addEventListener("DOMContentLoaded", name); } else { name(); }
})();
