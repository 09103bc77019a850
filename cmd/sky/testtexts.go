package main

import "github.com/spf13/pflag"

// textFlags are the flags of `sky test` that are about texts.
type textFlags struct {
	train, test                string
	text, tokens, vocabulary   string
	properties, testProperties string
	embeddings, testEmbeddings string
	metadata, compute          []string
}

func (f *textFlags) register(fl *pflag.FlagSet) {
	fl.StringVar(&f.train, "text", "", "`FILE` of texts, one in each row of a table (instead of a document)")
	fl.StringVar(&f.test, "test-text", "", "`FILE` of texts to compare with")
	fl.StringVar(&f.text, "text-column", "", "`COLUMN` of the texts (default text)")
	fl.StringVar(&f.tokens, "tokens-column", "", "`COLUMN` of lists of tokens, instead of texts")
	fl.StringArrayVar(&f.metadata, "metadata", nil, "metadata `COLUMN` of texts, repeatable (default all without another meaning)")
	fl.StringArrayVar(&f.compute, "property", nil, "`PROPERTY` of texts to compute, repeatable; all or none (default those that need no model)")
	fl.StringVar(&f.properties, "properties", "", "`FILE` of properties of the texts, a table with as many rows")
	fl.StringVar(&f.testProperties, "test-properties", "", "`FILE` of properties of the texts to compare with")
	fl.StringVar(&f.embeddings, "embeddings", "", "`FILE` of embeddings of the texts: numpy's npy, or a table of numbers")
	fl.StringVar(&f.testEmbeddings, "test-embeddings", "", "`FILE` of embeddings of the texts to compare with")
	fl.StringVar(&f.vocabulary, "vocabulary", "", "`FILE` vocab.txt of a WordPiece tokeniser, for UnknownTokens")
}

// files are the files of texts, "" for none.
func (f *textFlags) files() string { return f.train + f.test }

// given reports whether any flag about texts is.
func (f *textFlags) given() bool {
	return f.text+f.tokens+f.vocabulary+f.properties+f.testProperties+f.embeddings+f.testEmbeddings != "" || len(f.metadata)+len(f.compute) > 0
}

// add puts what is given into a suite document.
func (f *textFlags) add(doc map[string]any) {
	for key, v := range map[string]string{"text": f.text, "tokens": f.tokens, "vocabulary": f.vocabulary} {
		if v != "" {
			doc[key] = v
		}
	}
	if len(f.metadata) > 0 {
		doc["metadata"] = f.metadata
	}
	properties := sides(f.properties, f.testProperties)
	switch {
	case len(f.compute) == 1 && (f.compute[0] == "all" || f.compute[0] == "none"):
		properties["compute"] = f.compute[0]
	case len(f.compute) > 0:
		properties["compute"] = f.compute
	}
	if len(properties) > 0 {
		doc["properties"] = properties
	}
	if e := sides(f.embeddings, f.testEmbeddings); len(e) > 0 {
		doc["embeddings"] = e
	}
}

// sides is a mapping of the sides to files, without those that are "".
func sides(train, test string) map[string]any {
	out := map[string]any{}
	if train != "" {
		out["train"] = train
	}
	if test != "" {
		out["test"] = test
	}
	return out
}
