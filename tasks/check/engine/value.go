package engine

// Field is one entry of an Object.
type Field struct {
	Key   string
	Value any
}

// Object is an ordered mapping, as results and parameters are encoded: values
// are nil, bool, integers, float64 (NaN included), string, []any, Object,
// Table or Series.
type Object []Field

// Get returns the value under key, or nil.
func (o Object) Get(key string) any {
	for _, f := range o {
		if f.Key == key {
			return f.Value
		}
	}
	return nil
}

// Grid is a table of encoded values, for results and for displays.
type Grid struct {
	Columns []string
	Index   []any // nil means 0, 1, 2, …
	// IndexName is what Index holds, "" when it has no name.
	IndexName string
	// IndexNames are set instead where each entry of Index is a []any: what
	// its parts hold.
	IndexNames []string
	Rows       [][]any
}

// Series is a labelled list of encoded values.
type Series struct {
	Index  []string
	Values []any
}

// Encoder is implemented by every result value.
type Encoder interface {
	// Encode returns the value in the terms listed at Object.
	Encode() any
}

// Scalar is a result that is one number.
type Scalar float64

// Encode returns the number.
func (s Scalar) Encode() any { return float64(s) }
