package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/spf13/pflag"

	"aloft/tasks/check"
)

// schemaFlags are the flags of `sky test` about schemas and segments.
type schemaFlags struct {
	infer     bool
	out, file string
	segments  []string
}

func (f *schemaFlags) register(fl *pflag.FlagSet) {
	fl.BoolVar(&f.infer, "infer-schema", false, "print a schema of the --train table instead: what its columns are like, as YAML to edit")
	fl.StringVar(&f.out, "out-schema", "", "write the schema into `FILE`, with --infer-schema")
	fl.StringVar(&f.file, "schema", "", "check the tables against the schema in `FILE`")
	fl.StringArrayVar(&f.segments, "segment", nil, "run the checks on each segment of a `COLUMN` too, repeatable")
}

// add puts the flags into a suite document.
func (f *schemaFlags) add(doc map[string]any) {
	if f.file != "" {
		doc["schema"] = f.file
	}
	var list []any
	for _, c := range f.segments {
		list = append(list, map[string]any{"column": c})
	}
	if list != nil {
		doc["segments"] = list
	}
}

// write infers the schema of the train table of a document.
func (f *schemaFlags) write(out io.Writer, doc map[string]any) error {
	doc["suites"] = []string{check.DataIntegrity} // a document runs something; nothing is run here
	for _, key := range []string{"schema", "segments", "test", "predictions"} {
		delete(doc, key)
	}
	text, err := check.InferSchema(doc, "")
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return usageError("infer schema: %v", err)
	case err != nil:
		return &exitError{exitUsage, fmt.Errorf("infer schema: %w", err)}
	}
	if f.out == "" {
		_, err = out.Write(text)
	} else {
		err = writeWhole(f.out, text)
	}
	if err != nil {
		return &exitError{exitFailure, fmt.Errorf("write schema: %w", err)}
	}
	return nil
}
