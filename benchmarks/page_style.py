"""How the pages of reports and comparisons look: one sheet, for light and dark, phone, desk and paper."""

STYLE = """
:root { color-scheme: light dark;
  --paper: #fbfaf8; --ink: #1d1c1a; --soft: #5f5c56; --line: #dedad2; --card: #fff;
  --own: #0a7d5a; --new: #b84f14; --base: #b9b3a7; --null: #dcd7cd; --warn: #fff3d6;
  --fail: #b3261e; --pass: #08704f; --open: #7d5700; --tint: #fbebe7;
  --wash: rgba(255, 60, 40, .08); --shade: rgba(29, 28, 26, .32); }
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #171614; --ink: #ece9e3; --soft: #aaa59b; --line: #3a3731; --card: #201e1b;
  --own: #3fc194; --new: #f09a5b; --base: #6f6a60; --null: #4a463f; --warn: #3b3018;
  --fail: #ff8a80; --pass: #3fc194; --open: #e0b44c; --tint: #352522;
  --wash: rgba(255, 138, 128, .13); --shade: rgba(236, 233, 227, .3); } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { max-width: 1120px; margin: 0 auto; padding: 24px 20px 60px; overflow-wrap: anywhere; }
h1 { font-size: clamp(1.35rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 4px;
  text-wrap: balance; }
h2 { font-size: 1.2rem; margin: 40px 0 12px; text-wrap: balance; }
h3 { font-size: 1rem; margin: 24px 0 8px; }
p, footer { color: var(--soft); font-size: .9rem; margin: 8px 0; max-width: 75em; }
footer { margin-top: 48px; border-top: 1px solid var(--line); padding-top: 12px; }
code { font-size: .92em; }
summary { cursor: pointer; margin: 12px 0; }
:focus-visible { outline: 3px solid var(--own); outline-offset: 2px; }
aside { border-radius: 8px; padding: 10px 16px; margin: 16px 0; font-size: .9rem; }
aside ul { margin: 4px 0; padding-left: 20px; }
aside.doubt { background: var(--warn); }
aside.bad, aside.open { border: 1px solid currentColor; border-left-width: 6px; }
aside.bad { background: var(--tint); }
aside.bad ul, aside.open ul, aside summary { color: var(--ink); }
.bad { color: var(--fail); } .good { color: var(--pass); } .open { color: var(--open); }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(136px, 1fr));
  gap: 12px; margin-top: 24px; }
.cards h2 { grid-column: 1 / -1; margin: 0; font-size: 1rem; }
.cards div { background: var(--card); border: 1px solid var(--line);
  border-radius: 10px; padding: 12px 14px; font-size: .8rem; color: var(--soft); }
.cards b { display: block; font-size: 1.4rem; color: var(--ink); line-height: 1.25;
  font-variant-numeric: tabular-nums; }
.cards .bad, .cards .good, .cards .open { grid-column: span 2; }
.cards .bad { border: 2px solid var(--fail); background: var(--tint); }
.cards .bad b { color: var(--fail); }
.cards .good b { color: var(--pass); } .cards .open b { color: var(--open); }

/* What is wider than the screen scrolls: a shade at the edge says that there is more. */
.wide { overflow-x: auto; background:
  linear-gradient(to left, var(--paper) 40%, transparent) right / 56px 100% no-repeat local,
  linear-gradient(to left, var(--shade), transparent) right / 18px 100% no-repeat scroll; }
table { border-collapse: separate; border-spacing: 0; width: 100%; font-size: .86rem; }
th, td { text-align: left; padding: 6px 14px 6px 0; border-top: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; white-space: nowrap;
  overflow-wrap: normal; }
th { font-weight: 500; }
thead th { color: var(--soft); vertical-align: bottom; border: 0; }
tbody tr:last-child > * { border-bottom: 1px solid var(--line); }
.wide th:first-child { position: sticky; left: 0; background: var(--paper); white-space: normal;
  min-width: 8em; }
tbody th { font-weight: 400; }
td.why { white-space: normal; min-width: 8.5em; color: var(--soft); font-size: .78rem; }
td.long { white-space: normal; min-width: 15em; overflow-wrap: anywhere; }
td.bad, td.good, td.open, td.near { font-weight: 650; }
tr.failed td { background: var(--wash); }
.wide tr.failed th { background: var(--tint); box-shadow: inset 4px 0 var(--fail);
  padding-left: 10px; }
.prose th { color: var(--soft); padding-right: 20px; }
.prose td, .prose td.why { font-size: inherit; color: var(--ink); white-space: normal;
  min-width: 0; width: 100%; overflow-wrap: anywhere; }

svg text { font-size: 13px; fill: var(--ink); }
svg .value { fill: var(--soft); }
svg .own { fill: var(--own); } svg .baseline { fill: var(--base); } svg .null { fill: var(--null); }
svg line { stroke: var(--ink); stroke-width: 1.5; opacity: .55; }
svg text.tick { font-size: 11px; fill: var(--soft); }
svg.time { display: block; margin: 10px 0 0; background: var(--card);
  border: 1px solid var(--line); border-radius: 8px; }
svg.time svg { overflow: visible; }
svg.time polyline { fill: none; stroke: var(--curve); stroke-width: 1.5;
  vector-effect: non-scaling-stroke; }
svg.time circle { fill: var(--curve); fill-opacity: .85; }
svg.time line { stroke: var(--line); opacity: 1; stroke-width: 1; }
.keys { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .8rem; color: var(--soft);
  margin-top: 4px; }
.keys span::before { content: ""; display: inline-block; width: 9px; height: 9px;
  border-radius: 5px; margin-right: 6px; background: var(--curve); }
.k0 { --curve: #0a7d5a; } .k1 { --curve: #c2571a; } .k2 { --curve: #3b6fd4; }
.k3 { --curve: #9a4fb5; } .k4 { --curve: #8a7a1f; } .k5 { --curve: #6b6862; }
.k6 { --curve: #c23a6b; } .k7 { --curve: #1f8aa3; }
@media screen and (prefers-color-scheme: dark) {
  .k0 { --curve: #3fc194; } .k1 { --curve: #f09a5b; } .k2 { --curve: #85a8f2; }
  .k3 { --curve: #cf93e6; } .k4 { --curve: #cbb84e; } .k5 { --curve: #a19c92; }
  .k6 { --curve: #f08fb0; } .k7 { --curve: #6cc5d6; } }

img { display: block; max-width: 100%; height: auto; border-radius: 6px; }
figure { margin: 0; }
figcaption { font-size: .8rem; color: var(--soft); padding-top: 4px; }
.pictures { display: grid; gap: 12px;
  grid-template-columns: repeat(auto-fit, minmax(120px, 1fr)); }
@media (min-width: 700px) {
  .pictures { grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); } }
@media (max-width: 699px) {
  .pictures figure:first-child:nth-last-child(odd) { grid-column: 1 / -1; } }
.pictures img { width: 100%; }
.pictures label { display: block; position: relative; cursor: zoom-in; }
.pictures input { position: absolute; opacity: 0; }
.pictures label:focus-within { outline: 3px solid var(--own); outline-offset: 2px;
  border-radius: 6px; }
.pictures figure:has(:checked) { grid-column: 1 / -1; }
.pictures figure:has(:checked) label { cursor: zoom-out;
  width: min(100%, calc(88vh * var(--ratio))); }
.sliders { display: grid; gap: 20px;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); }
.slider { position: relative; overflow: hidden; border-radius: 8px; line-height: 0;
  width: min(100%, calc(88vh * var(--ratio))); }
.slider img { border-radius: 0; width: 100%; }
.slider .after { position: absolute; inset: 0; height: 100%;
  clip-path: inset(0 0 0 var(--cut)); }
.slider::before, .slider::after { content: ""; position: absolute; z-index: 1; left: var(--cut);
  pointer-events: none; background: #fff; box-shadow: 0 0 4px rgba(0, 0, 0, .6); }
.slider::after { top: 0; bottom: 0; width: 2px; margin-left: -1px; }
.slider::before { content: "\\2194"; top: 50%; width: 32px; height: 32px; margin: -16px;
  border-radius: 16px; color: #1d1c1a; font-size: 18px; line-height: 32px; text-align: center; }
.slider input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0;
  cursor: ew-resize; touch-action: pan-y; }
.slider:focus-within { outline: 3px solid var(--own); outline-offset: 2px; }

@media print {
  main { max-width: none; padding: 0; }
  .wide { overflow: visible; background: none; }
  .wide th:first-child { position: static; }
  table { font-size: .7rem; }
  th, td, td.long, .wide th:first-child { white-space: normal; min-width: 0; padding-right: 8px; }
  h2, h3 { break-after: avoid; }
  tr, svg, figure, aside, .cards div { break-inside: avoid; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
"""
