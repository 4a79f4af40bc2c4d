#include "page_parts.hpp"

namespace lockstep {

const char* const page_style = R"css(
:root { color-scheme: light dark; --ground: #ffffff; --ink: #1c2127; --muted: #5a636e; --rule: #d9dde2;
  --soft: #f5f6f8; --accent: #1f66c1; }
@media screen and (prefers-color-scheme: dark) { :root { --ground: #14181d; --ink: #e8ebef; --muted: #a3adb8;
  --rule: #333b44; --soft: #1c2229; --accent: #7db4ff; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--ground); color: var(--ink); line-height: 1.55;
  font: 16px/1.55 Charter, "Bitstream Charter", "Source Serif 4", Georgia, "DejaVu Serif", serif; }
main { max-width: 1020px; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .4rem; text-wrap: balance; }
h2 { font-size: 1.3rem; margin: 2.6rem 0 .6rem; }
.lead { color: var(--muted); margin: 0 0 1.6rem; max-width: 46rem; }
.findings { background: var(--soft); border-left: 4px solid var(--accent); padding: .8rem 1.4rem .8rem 2.2rem;
  margin: 0; }
.findings li { margin: .45rem 0; max-width: 50rem; }
table { border-collapse: collapse; font: 14px/1.4 Helvetica, Arial, "DejaVu Sans", sans-serif;
  font-variant-numeric: tabular-nums; margin: .6rem 0 1rem; }
th, td { padding: .35rem .8rem; text-align: right; border-bottom: 1px solid var(--rule); white-space: nowrap; }
th { font-weight: 600; border-bottom: 2px solid var(--rule); }
th.words, td.words { text-align: left; white-space: normal; }
td small { color: var(--muted); margin-left: .4em; }
.wide { overflow-x: auto; }
figure { margin: 1.6rem 0 0; }
figure svg { display: block; width: 100%; height: auto; margin: 0 auto; }
figure.single svg { max-width: 760px; }
figcaption { color: var(--muted); font-size: .92rem; max-width: 50rem; margin-top: .3rem; }
figcaption b { color: var(--ink); }
.formula { font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .85rem; white-space: pre;
  overflow-x: auto; background: var(--soft); padding: .8rem 1rem; }
details { margin-top: 1rem; }
summary { cursor: pointer; color: var(--accent); }
.spot { pointer-events: all; }
.spot:hover { opacity: .75; }
#tip { position: fixed; display: none; pointer-events: none; white-space: pre-line; z-index: 1;
  background: var(--ink); color: var(--ground); padding: .35rem .6rem; border-radius: 4px; max-width: 22rem;
  font: 13px/1.35 Helvetica, Arial, "DejaVu Sans", sans-serif; }
@media print { body { font-size: 10.5pt; } main { max-width: none; padding: 0; } #tip { display: none; }
  figure, table, .findings { break-inside: avoid; } h2 { break-after: avoid; }
  details:not([open]) { display: none; } }
)css";

// Without any character that XML would want escaped: the page is read as XML too.
const char* const page_script = R"js(
(function () {
  var tip = document.getElementById("tip");
  document.querySelectorAll(".spot").forEach(function (spot) {
    var title = spot.querySelector("title");
    if (title === null) { return; }
    spot.setAttribute("data-value", title.textContent);
    title.remove();
    spot.addEventListener("pointermove", function (event) {
      tip.textContent = spot.getAttribute("data-value");
      tip.style.display = "block";
      var left = Math.min(event.clientX + 14, window.innerWidth - tip.offsetWidth - 8);
      tip.style.left = Math.max(8, left) + "px";
      tip.style.top = Math.max(8, event.clientY - tip.offsetHeight - 12) + "px";
    });
    spot.addEventListener("pointerleave", function () { tip.style.display = "none"; });
  });
}());
)js";

}  // namespace lockstep
