package tasks

import (
	"fmt"
	"strings"
)

// Parse reads a task file given as bytes. file is only used in messages. The
// document is nil when the diagnostics have errors.
func Parse(file string, src []byte, o Overrides) (*Document, Diagnostics) {
	c := newChecker(file)
	doc := c.parse(src, o)
	return doc, c.report()
}

// ParseFile reads a task file of at most MaxFileSize bytes.
func ParseFile(path string, o Overrides) (*Document, Diagnostics) {
	src, err := readBounded(path, MaxFileSize)
	if err != nil {
		c := newChecker(path)
		c.fail(position{}, "", "cannot read the task file: "+err.Error(), "", "check the path")
		return nil, c.diags
	}
	return Parse(path, src, o)
}

// FromCommand builds the document of `sky launch -- COMMAND`: one task named
// sky-cmd that runs cmd. An empty cmd gives a task without run.
func FromCommand(cmd string, o Overrides) (*Document, Diagnostics) {
	c := newChecker("command")
	p := position{}
	v := &value{kind: kindMap, pos: p}
	v.set("name", textValue("sky-cmd", p))
	if cmd != "" {
		v.set("run", textValue(cmd, p))
	}
	doc := c.build([]*value{v}, o)
	return doc, c.report()
}

func (c *checker) parse(src []byte, o Overrides) *Document {
	if !c.checkLimits(src) {
		return nil
	}
	docs, ok := c.documents(src)
	if !ok {
		return nil
	}
	for _, v := range docs {
		c.lintNumbers(v)
	}
	return c.build(docs, o)
}

// lintNumbers warns about numbers whose notation YAML 1.1 reads unexpectedly.
// Environment values have a warning of their own, about their text.
func (c *checker) lintNumbers(v *value) {
	if v == nil || v.kind != kindMap {
		return
	}
	for _, e := range v.entries {
		if n := e.name(); n != "envs" && n != "secrets" {
			c.lintTree(e.val, n)
		}
	}
}

func (c *checker) lintTree(v *value, path string) {
	if v.surprising() {
		c.warn(v.pos, path, fmt.Sprintf("YAML 1.1 reads %s as the number %s", v.text, pyStr(v)), "",
			fmt.Sprintf("write %s, or quote it if it is meant as text", pyStr(v)))
	}
	for i, it := range v.items {
		c.lintTree(it, index(path, i))
	}
	for _, e := range v.entries {
		if e.key.kind == kindBool && e.key.plain {
			c.warn(e.key.pos, join(path, e.key.text), fmt.Sprintf("YAML 1.1 reads the key %s as a boolean", e.key.text), "",
				fmt.Sprintf("write %q in quotes", e.key.text))
		}
		c.lintTree(e.val, join(path, e.name()))
	}
}

// build turns the documents of a file into a Document.
func (c *checker) build(docs []*value, o Overrides) *Document {
	var full []*value
	for _, v := range docs {
		if v != nil && (v.kind != kindMap || len(v.entries) > 0) {
			full = append(full, v)
		}
	}
	ok := true
	for _, v := range full {
		if v.kind != kindMap {
			c.fail(v.pos, "", "a task is a map of keys, not "+v.show(), strings.Join(taskTable().names(), ", "),
				"write for example run: COMMAND")
			ok = false
		}
	}
	if len(full) == 0 {
		if !c.diags.HasErrors() {
			c.fail(position{line: 1, column: 1}, "", "the file is empty or holds no task", "", "add at least run: or setup:")
		}
		ok = false
	}
	vars, varsOK := c.readVariables(o)
	if !ok {
		return nil
	}

	doc := &Document{File: c.file, Execution: ExecutionSerial}
	header, bodies := splitHeader(full, len(docs) > 1)
	if header != nil {
		c.readHeader(header, bodies, doc)
	}
	if len(bodies) > 1 && o.hasResources() {
		c.warn(position{file: "command line"}, "", "resource flags are ignored for a file with several tasks", "",
			"set them in the file")
	}
	multi := header != nil || len(bodies) > 1
	for i, v := range bodies {
		if multi {
			c.prefix = fmt.Sprintf("[%d].", i+1)
		}
		c.positions = map[string]position{}
		if len(bodies) == 1 {
			c.applyResourceOverrides(v, o)
		}
		c.applyNameOverrides(v, o, len(bodies) == 1)
		doc.Tasks = append(doc.Tasks, c.task(v, vars, o))
	}
	c.prefix = ""
	if doc.Execution == ExecutionParallel {
		c.checkGroup(doc, bodies)
	}
	if doc.Name == "" && len(doc.Tasks) == 1 && !multi {
		doc.Name = doc.Tasks[0].Name
	}
	if !varsOK || c.failed() {
		return nil
	}
	for _, t := range doc.Tasks {
		c.noteLaunchProblems(t)
	}
	return doc
}

// splitHeader separates the optional first document of a file with several.
func splitHeader(full []*value, multi bool) (header *value, bodies []*value) {
	first := full[0]
	if !multi {
		return nil, full
	}
	exec := first.get("execution")
	if exec != nil && exec.kind == kindText && exec.text == ExecutionParallel {
		return first, full[1:]
	}
	for _, e := range first.entries {
		if n := e.name(); n != "name" && n != "execution" {
			return nil, full
		}
	}
	if len(full) == 1 && exec == nil {
		return nil, full // "name: x" and a trailing separator is still a task
	}
	return first, full[1:]
}

func (c *checker) readHeader(h *value, bodies []*value, doc *Document) {
	exec := h.get("execution")
	parallel := exec != nil && exec.kind == kindText && exec.text == ExecutionParallel
	if name := h.get("name"); !name.isNull() {
		if name.kind != kindText {
			c.wrongKind(name, "name", &field{kinds: kindText})
		} else {
			doc.Name = name.text
		}
	}
	if len(bodies) == 0 {
		c.fail(h.pos, "", "the file has a header but no task after it", "", "add a document with run: after ---")
	}
	if !parallel {
		if !exec.isNull() && !(exec.kind == kindText && exec.text == ExecutionSerial) {
			c.fail(exec.pos, "execution", exec.show()+" is not a way to run a pipeline", "serial, parallel",
				didYouMean(exec.text, []string{ExecutionSerial, ExecutionParallel}))
		}
		return
	}
	doc.Execution = ExecutionParallel
	if doc.Name == "" {
		c.fail(h.pos, "name", "a job group needs a name", "", "add name: to the first document")
	} else if !reGroupName.MatchString(doc.Name) {
		c.fail(h.get("name").pos, "name", quote(doc.Name)+" is not a valid name for a job group", "letters, digits, - and _", "")
	}
	known := []string{"name", "execution", "primary_tasks", "termination_delay"}
	for _, e := range h.entries {
		if n := e.name(); !isChoice(n, known, false) {
			c.warn(e.key.pos, n, fmt.Sprintf("a job group has no key %s; it is ignored", quote(n)),
				strings.Join(known, ", "), didYouMean(n, known))
		}
	}
	if v := h.get("primary_tasks"); !v.isNull() {
		if v.kind != kindList {
			c.wrongKind(v, "primary_tasks", &field{kinds: kindList})
		}
		for i, it := range v.items {
			if it.kind != kindText {
				c.wrongKind(it, index("primary_tasks", i), &field{kinds: kindText})
				continue
			}
			doc.PrimaryTasks = append(doc.PrimaryTasks, it.text)
		}
	}
	c.readTerminationDelay(h.get("termination_delay"), doc)
}

// checkGroup checks what holds between the header and the jobs of a group.
func (c *checker) checkGroup(doc *Document, bodies []*value) {
	seen := map[string]bool{}
	var names []string
	for i, t := range doc.Tasks {
		at := fmt.Sprintf("[%d].name", i+1)
		p := bodies[i].pos
		if v := bodies[i].get("name"); v != nil {
			p = v.pos
		}
		switch {
		case t.Name == "":
			c.fail(p, at, fmt.Sprintf("job %d of the group has no name", i+1), "", "add name:")
		case !reGroupName.MatchString(t.Name):
			c.fail(p, at, quote(t.Name)+" is not a valid job name", "letters, digits, - and _", "")
		case seen[t.Name]:
			c.fail(p, at, fmt.Sprintf("the job name %s is used twice in the group", quote(t.Name)), "", "give each job its own name")
		}
		seen[t.Name] = true
		names = append(names, t.Name)
	}
	for i, n := range doc.PrimaryTasks {
		if !seen[n] {
			c.fail(position{}, index("primary_tasks", i), fmt.Sprintf("%s is not a job of this group", quote(n)),
				strings.Join(names, ", "), didYouMean(n, names))
		}
	}
	for n := range doc.TerminationDelay {
		if n != "default" && !seen[n] {
			c.fail(position{}, join("termination_delay", n), fmt.Sprintf("%s is not a job of this group", quote(n)),
				strings.Join(names, ", "), didYouMean(n, names))
		}
	}
}
