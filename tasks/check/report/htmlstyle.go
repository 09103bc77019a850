package report

// pageStyle is the whole style of the HTML report. Colours are chosen for a
// contrast of at least 4.5 between text and its ground in both themes, and no
// meaning rests on colour alone.
const pageStyle = `
:root{color-scheme:light dark;
--bg:#f6f7f9;--card:#fff;--ink:#16202c;--soft:#536172;--line:#dfe4ea;--head:#eef1f5;--accent:#1f5fbf;--on-accent:#fff;
--pass:#146c34;--pass-bg:#e2f5e8;--warn:#7f4a00;--warn-bg:#fdf0d5;--fail:#b3161b;--fail-bg:#fde6e6;--error:#7a2ea0;--error-bg:#f4e6fb;--mute-bg:#e9edf2;
--s0:#2563c9;--s1:#d9660c;--s2:#0f8a5f;--s3:#b3329b;--s4:#8a6d00;--s5:#0c86a6;--s6:#c22f45;--s7:#6a4bd1}
@media (prefers-color-scheme:dark){:root{
--bg:#10151c;--card:#19212b;--ink:#e8edf3;--soft:#a3b1c1;--line:#2f3b49;--head:#212b37;--accent:#7db2ff;--on-accent:#0b1320;
--pass:#7fdba0;--pass-bg:#14321f;--warn:#f5c469;--warn-bg:#3a2b0c;--fail:#ff9a98;--fail-bg:#431a1c;--error:#dcaaf5;--error-bg:#371f45;--mute-bg:#263240;
--s0:#6ea8ff;--s1:#ff9d4d;--s2:#4fd1a1;--s3:#ef86dc;--s4:#e3c54a;--s5:#5fcbe8;--s6:#ff8593;--s7:#b19cff}}
*{box-sizing:border-box}
html{scroll-behavior:smooth}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
main,header,footer{max-width:1120px;margin:0 auto;padding:0 24px}
header{padding-top:36px}
footer{padding:28px 24px 44px;color:var(--soft);font-size:13px}
a{color:var(--accent);text-underline-offset:2px}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
.skip{position:absolute;left:-999px}.skip:focus{left:16px;top:12px;background:var(--card);padding:8px 14px;border-radius:8px;z-index:2}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:20px;margin:40px 0 12px;letter-spacing:-.005em}
h3{font-size:17px;margin:0;overflow-wrap:anywhere}
h4{font-size:13px;margin:18px 0 8px;color:var(--soft);font-weight:600}
p{margin:6px 0}.soft{color:var(--soft)}
.top{display:flex;flex-wrap:wrap;gap:12px 20px;align-items:flex-start;justify-content:space-between}
.verdict{font-size:17px;font-weight:650;padding:8px 18px;border-radius:999px;white-space:nowrap}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;margin:22px 0 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:12px 16px}
.tile b{display:block;font-size:26px;line-height:1.2;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:20px 22px;margin:0 0 18px;scroll-margin-top:12px}
.pill{display:inline-block;font-size:12.5px;font-weight:650;padding:2px 10px;border-radius:999px;white-space:nowrap}
.pass{color:var(--pass);background:var(--pass-bg)}.warn{color:var(--warn);background:var(--warn-bg)}
.fail{color:var(--fail);background:var(--fail-bg)}.error{color:var(--error);background:var(--error-bg)}.mute{color:var(--ink);background:var(--mute-bg)}
.scroll{overflow:auto;border:1px solid var(--line);border-radius:10px}.scroll.tall{max-height:432px}
.tall thead th{position:sticky;top:0}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:8px 12px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{background:var(--head);font-size:12.5px;font-weight:650;color:var(--soft);white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
td{overflow-wrap:break-word;max-width:440px}td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.tight{white-space:nowrap}td.long{min-width:200px}
.details{white-space:pre-line}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,430px),1fr));gap:8px 28px;margin-top:6px}
.sides.one{grid-template-columns:minmax(0,1fr)}.side{min-width:0}
.sidename{font-size:12.5px;font-weight:650;letter-spacing:.03em;color:var(--soft);border-bottom:1px solid var(--line);padding-bottom:6px;margin-top:14px}
.conds{list-style:none;padding:0;margin:12px 0 0}.conds li{display:grid;grid-template-columns:78px minmax(0,1fr);gap:10px;padding:7px 0}
.conds .what{overflow-wrap:anywhere}.conds .details{color:var(--soft);font-size:14px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,310px),1fr));gap:8px 24px}
figure{margin:14px 0 0;min-width:0}figcaption{font-size:13px;font-weight:600;color:var(--soft);margin-bottom:6px}
svg{display:block;max-width:100%;height:auto}
svg text{font-family:inherit;font-size:12px;fill:var(--ink)}svg .t-soft{fill:var(--soft)}svg .axis{stroke:var(--line);stroke-width:1}
svg .diag{stroke:var(--soft);stroke-dasharray:4 5;stroke-width:1;opacity:.8}
svg .cell{stroke:var(--card);stroke-width:2}svg .on{fill:var(--on-accent)}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;margin:8px 0 0;padding:0;list-style:none}
.legend svg{display:inline-block;vertical-align:middle;margin-right:7px}.legend li{overflow-wrap:anywhere}
details{margin-top:14px;font-size:14px}summary{cursor:pointer;color:var(--soft);width:max-content;max-width:100%}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
dl{display:grid;grid-template-columns:max-content minmax(0,1fr);gap:4px 18px;margin:8px 0}dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:640px){#main>section>.scroll>table{min-width:680px}main,header,footer{padding-left:14px;padding-right:14px}.card{padding:16px 14px}h1{font-size:23px}}
@media print{body{background:#fff}.scroll.tall{max-height:none}.card,.tile{break-inside:avoid}.skip{display:none}}
`
