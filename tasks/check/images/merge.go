package images

import (
	"fmt"
	"maps"
	"slices"
)

// Merge joins the sets of several ranks, each of which read a part of the
// data, in the order given. The result is that of one pass over the parts one
// after the other; pictures of means are exact where all parts have images of
// one size first.
func Merge(sets ...*Set) (*Set, error) {
	if len(sets) == 0 {
		return nil, fmt.Errorf("merge sets of images: there are none")
	}
	first := sets[0]
	out := &Set{Name: first.Name, Task: first.Task, Classes: maps.Clone(first.Classes), Properties: first.Properties, Ranks: len(sets)}
	out.Thumbs = make(map[int]Thumb)
	for i, s := range sets {
		switch {
		case s.Task != first.Task:
			return nil, fmt.Errorf("merge sets of images: rank %d has the task %s, rank 0 %s", i, s.Task, first.Task)
		case !slices.Equal(s.Properties, first.Properties):
			return nil, fmt.Errorf("merge sets of images: rank %d has other properties than rank 0", i)
		}
		for class, name := range s.Classes {
			if have, ok := out.Classes[class]; ok && have != name {
				return nil, fmt.Errorf("merge sets of images: class %d is %q for rank 0 and %q for rank %d", class, have, name, i)
			}
			if out.Classes == nil {
				out.Classes = make(map[int]string)
			}
			out.Classes[class] = name
		}
		for at, t := range s.Thumbs {
			out.Thumbs[len(out.Records)+at] = t
		}
		out.Records = append(out.Records, s.Records...)
		out.Total += s.Total
		for _, f := range s.Faults {
			if len(sets) > 1 && f.ID != "" {
				f.ID = fmt.Sprintf("rank %d: %s", i, f.ID)
			}
			out.Faults = append(out.Faults, f)
		}
		if s.Partial != "" {
			if out.Partial != "" {
				out.Partial += "\n"
			}
			out.Partial += fmt.Sprintf("rank %d: %s", i, s.Partial)
		}
		out.Heat, out.BoxHeat = joined(out.Heat, s.Heat), joined(out.BoxHeat, s.BoxHeat)
	}
	out.thin()
	return out, nil
}

// thin keeps of the thumbnails of several ranks what one pass would have
// kept.
func (s *Set) thin() {
	t := newThumbs(len(s.Properties))
	for at := range s.Records {
		if picture, ok := s.Thumbs[at]; ok {
			if n := t.reasons(at, &s.Records[at]); n > 0 {
				t.uses[at] += n
				t.pictures[at] = picture
			}
		}
	}
	s.Thumbs = t.pictures
}
