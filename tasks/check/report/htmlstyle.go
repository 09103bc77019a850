package report

// The style of reports. Colours are chosen for a contrast of at least 4.5
// between text and its ground in both themes, and no meaning rests on colour
// alone.

// pageStyle is the whole style of the HTML report.
const pageStyle = "\n" + themeStyle + plotStyle + layoutStyle

// themeStyle holds the colours, light and dark.
const themeStyle = `:root{color-scheme:light dark;
--bg:#f5f6f8;--card:#fff;--ink:#16202c;--soft:#526070;--line:#dfe4ea;--head:#eef1f5;--accent:#1f5fbf;--on-accent:#fff;--cold:#964006;
--pass:#146c34;--pass-bg:#e2f5e8;--warn:#7a4600;--warn-bg:#fdf0d5;--fail:#b3161b;--fail-bg:#fde6e6;--error:#7a2ea0;--error-bg:#f4e6fb;--mute-bg:#e9edf2;
--s0:#2563c9;--s1:#d9660c;--s2:#0f8a5f;--s3:#b3329b;--s4:#8a6d00;--s5:#0c86a6;--s6:#c22f45;--s7:#6a4bd1;
--c0:#8fb4ee;--c1:#5d8fdc;--c2:#8a63bd;--c3:#b23f82;--c4:#b3161b}
@media screen and (prefers-color-scheme:dark){:root{
--bg:#0f141b;--card:#18202a;--ink:#e8edf3;--soft:#a5b2c2;--line:#2f3b49;--head:#212b37;--accent:#7db2ff;--on-accent:#0b1320;--cold:#ffab66;
--pass:#7fdba0;--pass-bg:#14321f;--warn:#f5c469;--warn-bg:#3a2b0c;--fail:#ff9f9d;--fail-bg:#431a1c;--error:#dcaaf5;--error-bg:#371f45;--mute-bg:#263240;
--s0:#6ea8ff;--s1:#ff9d4d;--s2:#4fd1a1;--s3:#ef86dc;--s4:#e3c54a;--s5:#5fcbe8;--s6:#ff8593;--s7:#b19cff;
--c0:#3d5f92;--c1:#5b8fdd;--c2:#9d7be0;--c3:#e06fb0;--c4:#ff8d8a}}
`

// plotStyle is the look of pictures and their legends.
const plotStyle = `svg{display:block;max-width:100%;height:auto}
svg text{font-family:inherit;font-size:12px;fill:var(--ink)}svg .t-soft{fill:var(--soft)}svg .t-small{font-size:9px}svg .t-on{fill:var(--on-accent)}
svg .t-mid{font-size:15px;font-weight:600}svg .t-big{font-size:17px;font-weight:650}
svg .axis{stroke:var(--line);stroke-width:1}svg .diag{stroke:var(--soft);stroke-dasharray:4 5;stroke-width:1;opacity:.8}
svg .mark{stroke:var(--ink);stroke-width:1.2;stroke-dasharray:3 3}svg .limit{stroke:var(--ink);stroke-width:2}
svg .cell{fill:var(--head);stroke:var(--card);stroke-width:2}svg .ground{fill:var(--head)}svg .hot{fill:var(--accent)}svg .cold{fill:var(--cold)}
svg .track{fill:var(--head)}svg .f-good{fill:var(--pass)}svg .f-bad{fill:var(--fail)}
svg .area{fill-opacity:.2}
.l0,.l1,.l2,.l3,.l4,.l5,.l6,.l7{fill:none;stroke-width:2.2;stroke-linejoin:round}svg .spot{fill:var(--card)}svg .thin{stroke-width:1.5}
.l0{stroke:var(--s0)}.l1{stroke:var(--s1)}.l2{stroke:var(--s2)}.l3{stroke:var(--s3)}.l4{stroke:var(--s4)}.l5{stroke:var(--s5)}.l6{stroke:var(--s6)}.l7{stroke:var(--s7)}
.f0{fill:var(--s0)}.f1{fill:var(--s1)}.f2{fill:var(--s2)}.f3{fill:var(--s3)}.f4{fill:var(--s4)}.f5{fill:var(--s5)}.f6{fill:var(--s6)}.f7{fill:var(--s7)}
.points{fill:none;stroke-linecap:round;stroke-width:5;stroke-opacity:.75}.p0{stroke:var(--s0)}.swatch{stroke-width:9}
.c0{stroke:var(--c0)}.c1{stroke:var(--c1)}.c2{stroke:var(--c2)}.c3{stroke:var(--c3)}.c4{stroke:var(--c4)}
.gallery{display:flex;flex-wrap:wrap;gap:12px 14px;list-style:none;margin:8px 0;padding:0}.gallery li{width:132px;font-size:13px;line-height:1.4;overflow-wrap:anywhere}.gallery p{margin:3px 0 0}
.pic{position:relative;background:var(--head);border-radius:4px}.pic img{display:block;border-radius:4px}.pic .crisp{image-rendering:pixelated}.pic svg{position:absolute;left:0;top:0;max-width:none}
.box-label,.box-guess{fill:none;stroke-width:2}.box-label{stroke:#2f8bff}.box-guess{stroke:#ff8a1f;stroke-dasharray:5 3}
.legend{display:flex;flex-wrap:wrap;gap:4px 16px;font-size:13px;margin:8px 0 0;padding:0;list-style:none}
.legend svg{display:inline-block;vertical-align:middle;margin-right:7px}.legend li{overflow-wrap:anywhere}
`

// layoutStyle is the look of the rest.
const layoutStyle = `*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif}
header,footer,.frame{max-width:1360px;margin:0 auto;padding:0 28px}
header{padding-top:34px}
footer{padding:24px 28px 44px;color:var(--soft);font-size:13px}
main{min-width:0;outline:0}
a{color:var(--accent);text-underline-offset:2px}
:focus-visible{outline:3px solid var(--accent);outline-offset:2px;border-radius:4px}
.vh{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%);white-space:nowrap}
.skip{position:absolute;left:-9999px}.skip:focus{left:16px;top:12px;background:var(--card);padding:8px 14px;border-radius:8px;z-index:9}
h1{font-size:28px;line-height:1.2;margin:0 0 6px;letter-spacing:-.01em;overflow-wrap:anywhere}
h2{font-size:20px;margin:36px 0 12px;letter-spacing:-.005em;scroll-margin-top:14px}
main>section:first-child>h2{margin-top:26px}
h3{font-size:17px;line-height:1.35;margin:0;overflow-wrap:anywhere}
h4{font-size:13px;margin:18px 0 8px;color:var(--soft);font-weight:600;overflow-wrap:anywhere}
p{margin:6px 0;overflow-wrap:anywhere}.soft{color:var(--soft)}
.top{display:flex;flex-wrap:wrap;gap:12px 20px;align-items:flex-start;justify-content:space-between}.top>div:first-child{min-width:0}
.verdict{font-size:17px;font-weight:650;padding:7px 20px;border-radius:999px;white-space:nowrap}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(128px,1fr));gap:10px;margin:22px 0 0}
.tile{background:var(--card);border:1px solid var(--line);border-radius:12px;padding:11px 15px}
.tile b{display:block;font-size:25px;line-height:1.25;font-variant-numeric:tabular-nums}
.tile span{color:var(--soft);font-size:13px;display:block;line-height:1.35}
.t-fail b{color:var(--fail)}.t-warn b{color:var(--warn)}.t-pass b{color:var(--pass)}.t-error b{color:var(--error)}
.shares{display:flex;gap:3px;height:7px;margin-top:12px}.shares i{border-radius:4px;min-width:4px}
.b-pass{background:var(--pass)}.b-warn{background:var(--warn)}.b-fail{background:var(--fail)}.b-error{background:var(--error)}.b-mute{background:var(--soft);opacity:.45}
.toc{font-size:14px}.toc summary{font-weight:650;color:var(--ink)}.toc details{margin:18px 0 0;background:var(--card);border:1px solid var(--line);border-radius:12px;padding:10px 16px}
.tocbox{max-height:216px;overflow:auto;overscroll-behavior:contain}
.toc ul{list-style:none;margin:4px 0;padding:0}.toc p{margin:12px 0 2px;font-size:12.5px;color:var(--soft);font-weight:600}
.toc a{display:flex;gap:8px;align-items:flex-start;padding:3px 6px;color:var(--ink);text-decoration:none;border-radius:6px;line-height:1.4;overflow-wrap:anywhere}
.toc a:hover{background:var(--head);text-decoration:underline}.toc a:focus-visible{outline-offset:-2px}
.dot{flex:none;width:19px;height:19px;border-radius:50%;font-size:11px;line-height:19px;text-align:center;font-weight:700}
@media (min-width:1080px){
.frame{display:grid;grid-template-columns:252px minmax(0,1fr);gap:0 36px;align-items:start}
.toc{position:sticky;top:0;height:100vh;padding:26px 0 20px}.toc details{margin:0;padding:0;border:0;background:none}.toc details>summary{list-style:none;font-size:15px}.toc details>summary::-webkit-details-marker{display:none}
.tocbox{max-height:calc(100vh - 80px);padding-right:6px}}
.card{background:var(--card);border:1px solid var(--line);border-radius:14px;padding:19px 22px 12px;margin:0 0 18px;scroll-margin-top:12px;outline-offset:0}
.card:focus{outline:0}.card:target{border-color:var(--accent);box-shadow:0 0 0 1px var(--accent)}
.cardhead{display:flex;gap:6px 12px;align-items:flex-start;justify-content:space-between}.cardhead h3{min-width:0}.cardhead .pill{flex:none}
.pill{display:inline-block;font-size:12.5px;line-height:20px;font-weight:650;padding:1px 10px;border-radius:999px;white-space:nowrap}
.pass{color:var(--pass);background:var(--pass-bg)}.warn{color:var(--warn);background:var(--warn-bg)}
.fail{color:var(--fail);background:var(--fail-bg)}.error{color:var(--error);background:var(--error-bg)}.mute{color:var(--ink);background:var(--mute-bg)}
.filter{border:0;margin:0 0 10px;padding:0;display:flex;flex-wrap:wrap;gap:6px;align-items:center;min-width:0}
.filter input[type=radio]{position:absolute;opacity:0;width:1px;height:1px}
.filter input[type=radio]+label{border:1px solid var(--line);background:var(--card);border-radius:999px;padding:3px 13px;font-size:13.5px;cursor:pointer}
.filter b{font-variant-numeric:tabular-nums}
.filter input[type=radio]:checked+label{background:var(--accent);border-color:var(--accent);color:var(--on-accent)}
.filter input[type=radio]:focus-visible+label{outline:3px solid var(--accent);outline-offset:2px}
.search{margin-left:auto;font-size:13.5px;color:var(--soft);display:flex;gap:8px;align-items:center}.search[hidden]{display:none}
.search input{font:inherit;color:var(--ink);background:var(--card);border:1px solid var(--soft);border-radius:8px;padding:3px 9px;width:190px;min-width:0}
section:has(#show-fail:checked) #conditions-table tbody tr:not(.is-fail),section:has(#show-warn:checked) #conditions-table tbody tr:not(.is-warn),
section:has(#show-error:checked) #conditions-table tbody tr:not(.is-error),section:has(#show-pass:checked) #conditions-table tbody tr:not(.is-pass),tr.unfound{display:none}
.scroll{overflow:auto;border:1px solid var(--line);border-radius:10px}.scroll.tall{max-height:432px}.scroll.ground{background:var(--card)}.scroll.bare{border:0;border-radius:0}
.tall thead th{position:sticky;top:0}
table{border-collapse:collapse;width:100%;font-size:14px}
th,td{text-align:left;padding:7px 12px;border-bottom:1px solid var(--line);vertical-align:top}
thead th{background:var(--head);font-size:12.5px;font-weight:650;color:var(--soft);white-space:nowrap}
tbody tr:last-child td{border-bottom:0}
td{overflow-wrap:break-word;max-width:440px}.stack td,td.long{overflow-wrap:anywhere}.stack td:nth-child(2){overflow-wrap:break-word}li{overflow-wrap:anywhere}td.num,th.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
td.tight{white-space:nowrap}td.long{min-width:200px}
button.by{font:inherit;color:inherit;background:none;border:0;padding:0;cursor:pointer}
button.by::after{content:"";display:inline-block;width:9px;margin-left:4px}
button.by:hover::after{content:"↕"}th[aria-sort=ascending] button.by::after{content:"↑"}th[aria-sort=descending] button.by::after{content:"↓"}
.details{white-space:pre-line}
#conditions-table td:nth-child(2){min-width:130px}#conditions-table td:nth-child(4){min-width:190px}#conditions-table td:nth-child(5){min-width:200px}
.sides{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,400px),1fr));gap:8px 30px;margin-top:4px}
.sides.one{grid-template-columns:minmax(0,1fr)}.side{min-width:0}
.sidename{letter-spacing:.03em;border-bottom:1px solid var(--line);padding-bottom:6px;margin:14px 0 0}
.conds{margin:8px 0 0;font-size:15px}.conds td{border:0;padding:6px 0;overflow-wrap:anywhere;max-width:none}.conds td:first-child{width:86px}.conds .details{color:var(--soft);font-size:14px}
.note{border-left:3px solid var(--accent);padding:2px 0 2px 12px;margin:10px 0;font-size:14px}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr));gap:6px 26px;align-items:start}
figure{margin:14px 0 0;min-width:0}figcaption{font-size:13px;font-weight:600;color:var(--soft);margin-bottom:6px;overflow-wrap:anywhere}
.bare svg{max-width:none}
details{font-size:14px}summary{cursor:pointer;color:var(--soft);width:max-content;max-width:100%}.method{margin-top:14px}
code{font:13px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}p code{background:var(--head);border-radius:4px;padding:1px 4px}
dl{display:grid;grid-template-columns:fit-content(45%) minmax(0,1fr);gap:4px 18px;margin:8px 0}dt{color:var(--soft);overflow-wrap:anywhere}dd{margin:0;overflow-wrap:anywhere}
.foot{color:var(--soft);font-size:13px;margin-top:12px}
.method dl{grid-template-columns:fit-content(66%) minmax(0,1fr)}
.up{text-align:right;font-size:13px;margin:6px 0 0}
@media (max-width:640px){
header,footer,.frame{padding-left:14px;padding-right:14px}.card{padding:15px 14px 10px}h1{font-size:23px}
.tiles{grid-template-columns:repeat(auto-fit,minmax(96px,1fr))}.search{margin-left:0}
.stack,.stack tbody,.stack tr,.stack td{display:block;max-width:none}.stack thead{display:none}.stack td{border:0;padding:2px 12px}.stack td:empty{display:none}
.stack tr{border-bottom:1px solid var(--line);padding:8px 0}.stack tr:last-child{border:0}.stack td:first-child{padding-bottom:4px}.stack td.details{color:var(--soft)}
#conditions-table td:nth-child(2){font-weight:600}#conditions-table td:nth-child(3){color:var(--soft);font-size:13px}
tr.unfound.unfound,section:has(#show-fail:checked) #conditions-table tbody tr:not(.is-fail),section:has(#show-warn:checked) #conditions-table tbody tr:not(.is-warn),
section:has(#show-error:checked) #conditions-table tbody tr:not(.is-error),section:has(#show-pass:checked) #conditions-table tbody tr:not(.is-pass){display:none}}
@media (min-width:641px){.stack td.details{min-width:180px}.stack td:nth-child(4){min-width:110px}}
@media print{table td,table th{white-space:normal;overflow-wrap:anywhere;min-width:0!important;padding:4px 6px}body{background:#fff;font-size:11pt}.frame{display:block}.toc,.filter,.skip,.up,.method:not([open]){display:none}.scroll,.scroll.tall{max-height:none;overflow:visible}
.tall thead th{position:static}.tile,figure,tr{break-inside:avoid}h2,h3,h4{break-after:avoid}.card{box-shadow:none}.bare svg{max-width:100%}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
`
