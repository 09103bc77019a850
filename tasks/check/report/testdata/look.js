// Looks at a page as a reader would and returns what is wrong with it.
(() => {
  const wrong = [];
  const tell = (what, el, more) => {
    const text = (el.textContent || "").trim().replace(/\s+/g, " ").slice(0, 60);
    if (wrong.length < 40) wrong.push(`${what}: <${el.tagName.toLowerCase()} class="${el.getAttribute("class") || ""}"> "${text}" ${more || ""}`);
  };
  const wide = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > wide) wrong.push(`the page is ${document.documentElement.scrollWidth} wide, the window ${wide}`);

  const hidden = el => el.closest(".vh, .skip, [hidden], script, style, title, desc, head") || !el.checkVisibility({visibilityProperty: true});
  const scrolls = el => { for (let e = el; e; e = e.parentElement) { const o = getComputedStyle(e).overflowX; if (o === "auto" || o === "scroll") return e; } return null; };

  // Nothing sticks out of the window or of its container, and nothing is cut.
  for (const el of document.body.querySelectorAll("*")) {
    if (hidden(el) || el.closest("svg") && el.tagName !== "svg") continue;
    const style = getComputedStyle(el), box = el.getBoundingClientRect();
    if (!box.width && !box.height) continue;
    const frame = scrolls(el.parentElement);
    if (!frame && (box.right > wide + 1 || box.left < -1)) tell("outside the window", el, `${box.left}..${box.right}`);
    if (el.matches("svg, input, i, br, b, summary, button") || style.display.startsWith("inline") || style.display.startsWith("table") || style.display === "contents") continue;
    if (style.overflowX === "visible" && el.scrollWidth > el.clientWidth + 1 && el.clientWidth) tell("content sticks out", el, `${el.scrollWidth} > ${el.clientWidth}`);
    if ((style.overflowX === "hidden" || style.overflowX === "clip") && el.scrollWidth > el.clientWidth + 1) tell("text is cut", el);
    if ((style.overflowX === "auto") && el.scrollWidth > el.clientWidth + 1 && el.tabIndex < 0 && !el.querySelector("a, button")) tell("scrolls, but not by keyboard", el);
  }
  for (const cell of document.querySelectorAll("td, th, .toc a, .pill, .tile span, .tile b, .legend li")) {
    if (hidden(cell) || !cell.textContent.trim()) continue;
    const range = document.createRange(); range.selectNodeContents(cell);
    const inner = range.getBoundingClientRect(), outer = cell.getBoundingClientRect();
    if (inner.right > outer.right + 1.5 || inner.left < outer.left - 1.5) tell("text leaves its cell", cell, `${inner.right} > ${outer.right}`);
  }

  // Texts of a picture lie inside it and not on each other.
  const corners = t => {
    const b = t.getBBox(), m = t.getScreenCTM(), grow = -1;
    return [[b.x - grow, b.y - grow], [b.x + b.width + grow, b.y - grow], [b.x + b.width + grow, b.y + b.height + grow], [b.x - grow, b.y + b.height + grow]]
      .map(([x, y]) => [m.a * x + m.c * y + m.e, m.b * x + m.d * y + m.f]);
  };
  const apart = (p, q) => {
    for (const poly of [p, q]) for (let i = 0; i < 2; i++) {
      const dx = poly[i + 1][0] - poly[i][0], dy = poly[i + 1][1] - poly[i][1];
      const at = c => -dy * c[0] + dx * c[1];
      const a = p.map(at), b = q.map(at);
      if (Math.max(...a) <= Math.min(...b) || Math.max(...b) <= Math.min(...a)) return true;
    }
    return false;
  };
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    if (hidden(svg)) continue;
    const frame = svg.getBoundingClientRect();
    if (!svg.querySelector("title").textContent || !svg.querySelector("desc").textContent) tell("a picture without title or description", svg);
    for (const id of svg.getAttribute("aria-labelledby").split(" ")) if (!document.getElementById(id)) tell("a picture's label is missing", svg);
    const texts = [...svg.querySelectorAll("text")].filter(t => t.textContent.trim()).map(el => ({el, box: corners(el)}));
    for (const t of texts) { t.from = Math.min(...t.box.map(c => c[0])); t.to = Math.max(...t.box.map(c => c[0])); }
    texts.sort((s, t) => s.from - t.from);
    for (const t of texts) for (const [x, y] of t.box) {
      if (x < frame.left - 1 || x > frame.right + 1 || y < frame.top - 1 || y > frame.bottom + 1) { tell("text leaves the picture", t.el, svg.querySelector("title").textContent.slice(0, 60)); break; }
    }
    for (let i = 0; i < texts.length; i++) for (let j = i + 1; j < texts.length && texts[j].from < texts[i].to; j++)
      if (!apart(texts[i].box, texts[j].box)) tell("texts on each other", texts[i].el, `and "${texts[j].el.textContent}" in ${svg.querySelector("title").textContent.slice(0, 60)}`);
    for (const t of texts) { // small type is for large matrices only
      const scale = t.el.getScreenCTM().a || Math.abs(t.el.getScreenCTM().b);
      const size = parseFloat(getComputedStyle(t.el).fontSize) * Math.hypot(t.el.getScreenCTM().a, t.el.getScreenCTM().b);
      if (size < 8.9 && scale) { tell("type too small", t.el, size.toFixed(1)); break; }
    }
  }

  // Text and its ground have a contrast of 4.5 at least.
  const parse = c => { const m = c.match(/[\d.]+/g).map(Number); return [m[0], m[1], m[2], m.length > 3 ? m[3] : 1]; };
  const blend = (over, under) => [0, 1, 2].map(i => over[i] * over[3] + under[i] * (1 - over[3])).concat(1);
  const light = c => { const f = c.slice(0, 3).map(v => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * f[0] + .7152 * f[1] + .0722 * f[2]; };
  const ratio = (a, b) => { const x = light(a), y = light(b); return (Math.max(x, y) + .05) / (Math.min(x, y) + .05); };
  const ground = el => {
    const layers = [];
    for (let e = el; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3]) layers.push(c); if (c[3] === 1) break; }
    return layers.reverse().reduce((under, over) => blend(over, under), [255, 255, 255, 1]);
  };
  const least = {ratio: 99};
  const judge = (el, color, under) => {
    const r = ratio(blend(color, under), under);
    if (r < least.ratio) least.ratio = r;
    if (r < 4.5) tell("contrast " + r.toFixed(2), el, `${color} on ${under.map(Math.round)}`);
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; (n = walker.nextNode());) {
    const el = n.parentElement;
    if (!n.data.trim() || hidden(el) || el.closest("svg")) continue;
    judge(el, parse(getComputedStyle(el).color), ground(el));
  }
  for (const svg of document.querySelectorAll("svg[role=img]")) {
    if (hidden(svg)) continue;
    const under = ground(svg);
    const shapes = [...svg.querySelectorAll("rect")].map(el => ({el, box: el.getBoundingClientRect(), style: getComputedStyle(el)}));
    for (const t of svg.querySelectorAll("text")) {
      const box = t.getBoundingClientRect(), x = box.left + box.width / 2, y = box.top + box.height / 2;
      let g = under;
      for (const s of shapes) if (s.box.left <= x && x <= s.box.right && s.box.top <= y && y <= s.box.bottom && s.el.compareDocumentPosition(t) & Node.DOCUMENT_POSITION_FOLLOWING) {
        const c = parse(s.style.fill); c[3] *= parseFloat(s.style.fillOpacity); g = blend(c, g);
      }
      judge(t, parse(getComputedStyle(t).fill), g);
    }
  }

  // Headings follow each other without gaps.
  let level = 0;
  for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
    const l = +h.tagName[1];
    if (l > level + 1) tell("a heading skips a level", h);
    level = l;
  }
  return wrong;
})()
