package report

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"aloft/tasks/check/engine"
	"aloft/tasks/check/format"
	"aloft/tasks/check/images"
)

// The bounds of galleries; what is left out is told.
const (
	mostShown  = 24  // images of one gallery
	mostDrawn  = 60  // boxes on one image
	sideShown  = 132 // CSS pixels of an image's longer side
	mostThumb  = 200_000
	mostBoxAlt = 6 // boxes named in the text of an image
)

// gallery shows sample images with their boxes and captions.
func (p *page) gallery(g engine.Gallery) {
	markup, legend, left := galleryHTML(g, pageSize-p.b.Len())
	if markup == "" {
		p.left++
		return
	}
	title := esc(format.Truncate(g.Title, 200))
	p.add(`<h4>`, title, `</h4><ul class="gallery">`, markup, `</ul>`, legend)
	if left > 0 {
		p.add(`<p class="soft">`, strconv.Itoa(left), ` more images are not shown.</p>`)
	}
}

// galleryHTML draws images while there is room in bytes, and returns how many
// are left out.
func galleryHTML(g engine.Gallery, room int) (markup, legend string, left int) {
	var b strings.Builder
	truth, predicted := false, false
	shown := 0
	for i := range g.Samples {
		s := &g.Samples[i]
		item := shownHTML(s)
		if shown == mostShown || item == "" || b.Len()+len(item) > room {
			left++
			continue
		}
		shown++
		truth, predicted = truth || len(s.Boxes) > 0, predicted || len(s.Predicted) > 0
		b.WriteString(item)
	}
	if truth || predicted {
		legend = `<ul class="legend">`
		if truth {
			legend += `<li><svg width="26" height="12" aria-hidden="true"><rect class="box-label" x="1.5" y="1.5" width="23" height="9"/></svg>label</li>`
		}
		if predicted {
			legend += `<li><svg width="26" height="12" aria-hidden="true"><rect class="box-guess" x="1.5" y="1.5" width="23" height="9"/></svg>prediction</li>`
		}
		legend += `</ul>`
	}
	return b.String(), legend, left
}

// shownHTML is one image; "" for a thumbnail that cannot be shown.
func shownHTML(s *engine.Shown) string {
	t := s.Thumb
	if t.Type != "image/png" && t.Type != "image/jpeg" || t.Width <= 0 || t.Height <= 0 || t.Scale <= 0 || len(t.Data) == 0 || len(t.Data) > mostThumb {
		return ""
	}
	grow := sideShown / float64(max(t.Width, t.Height))
	w, h := float64(t.Width)*grow, float64(t.Height)*grow
	var b strings.Builder
	fmt.Fprintf(&b, `<li><div class="pic" style="width:%spx;height:%spx"><img alt="%s" width="%s" height="%s"`, px(w), px(h), esc(altText(s)), px(w), px(h))
	if grow > 1.5 {
		b.WriteString(` class="crisp"`)
	}
	fmt.Fprintf(&b, ` src="data:%s;base64,%s">`, t.Type, base64.StdEncoding.EncodeToString(t.Data))
	if len(s.Boxes)+len(s.Predicted) > 0 {
		fmt.Fprintf(&b, `<svg viewBox="0 0 %s %s" width="%s" height="%s" aria-hidden="true">`, px(w), px(h), px(w), px(h))
		for _, set := range []struct {
			class string
			boxes []images.Box
		}{{"box-label", s.Boxes}, {"box-guess", s.Predicted}} {
			for _, x := range set.boxes[:min(len(set.boxes), mostDrawn)] {
				k := t.Scale * grow
				title := className(s.Names, x.Class)
				if set.class == "box-guess" {
					title += " " + format.Number(x.Score)
				}
				fmt.Fprintf(&b, `<rect class="%s" x="%s" y="%s" width="%s" height="%s"><title>%s</title></rect>`, set.class,
					px(clip(x.X*k, w)), px(clip(x.Y*k, h)), px(clip((x.X+x.W)*k, w)-clip(x.X*k, w)), px(clip((x.Y+x.H)*k, h)-clip(x.Y*k, h)), esc(format.Truncate(title, 80)))
			}
		}
		b.WriteString(`</svg>`)
	}
	b.WriteString(`</div>`)
	if s.Caption != "" {
		fmt.Fprintf(&b, `<p>%s</p>`, esc(format.Truncate(s.Caption, 160)))
	}
	fmt.Fprintf(&b, `<p class="soft" title="%s">%s</p></li>`, esc(format.Truncate(s.ID, 300)), esc(fit(s.ID, 2*sideShown)))
	return b.String()
}

// clip keeps a coordinate within the picture.
func clip(v, most float64) float64 {
	if !ok(v) {
		return 0
	}
	return min(max(v, 0), most)
}

// altText says in words what an image shows.
func altText(s *engine.Shown) string {
	parts := []string{format.Truncate(s.ID, 120)}
	for _, set := range []struct {
		what  string
		boxes []images.Box
	}{{"labelled", s.Boxes}, {"predicted", s.Predicted}} {
		if len(set.boxes) == 0 {
			continue
		}
		names := make([]string, 0, mostBoxAlt)
		for _, x := range set.boxes[:min(len(set.boxes), mostBoxAlt)] {
			names = append(names, format.Truncate(className(s.Names, x.Class), 40))
		}
		text := set.what + " " + strings.Join(names, ", ")
		if more := len(set.boxes) - len(names); more > 0 {
			text += fmt.Sprintf(" and %d more", more)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func className(names map[int]string, class int) string {
	if n, known := names[class]; known {
		return n
	}
	return fmt.Sprint(class)
}
