package frame

import (
	"errors"
	"fmt"
	"slices"

	"aloft/tasks/check/nearest"
)

// Roles say which columns mean what. Empty names are absent roles.
type Roles struct {
	Label    string
	Index    string
	Datetime string
	// DatetimeUnit is the unit of a numeric datetime column; "" is "ns".
	DatetimeUnit string
	// Features lists the model's inputs; nil means every column without
	// another role.
	Features []string
	// Categorical lists the categorical features; nil infers them.
	Categorical []string
}

// Dataset is a table whose columns have roles.
type Dataset struct {
	*Table
	roles       Roles
	features    []string
	categorical []string
}

// NewDataset checks roles against the table and fills in what is inferred.
// All faults are reported together, joined.
func NewDataset(t *Table, roles Roles) (*Dataset, error) {
	if t.Total() == 0 {
		return nil, fmt.Errorf("%s has no rows below its header", t.Name())
	}
	var faults []error
	need := func(role, name string) {
		if name != "" && t.Column(name) == nil {
			faults = append(faults, fmt.Errorf("%s has no column %q, which is to be the %s%s", t.Name(), name, role, nearest.Hint(name, t.Names())))
		}
	}
	need("label", roles.Label)
	need("index", roles.Index)
	need("datetime", roles.Datetime)
	taken := map[string]string{}
	for _, r := range []struct{ role, name string }{{"label", roles.Label}, {"index", roles.Index}, {"datetime", roles.Datetime}} {
		if r.name != "" {
			taken[r.name] = r.role
		}
	}
	for _, name := range roles.Features {
		need("feature", name)
		if role, ok := taken[name]; ok {
			faults = append(faults, fmt.Errorf("column %q of %s cannot be a feature: it is the %s", name, t.Name(), role))
		}
	}
	d := &Dataset{Table: t, roles: roles, features: roles.Features}
	if roles.Features == nil {
		for _, c := range t.Columns() {
			if _, ok := taken[c.Name()]; !ok {
				d.features = append(d.features, c.Name())
			}
		}
	}
	for _, name := range roles.Categorical {
		if !slices.Contains(d.features, name) {
			faults = append(faults, fmt.Errorf("categorical column %q is not among the features of %s%s", name, t.Name(), nearest.Hint(name, d.features)))
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	if roles.Datetime != "" {
		if err := t.ParseTimes(roles.Datetime, roles.DatetimeUnit); err != nil {
			return nil, err
		}
	}
	d.categorical = roles.Categorical
	if roles.Categorical == nil {
		for _, name := range d.features {
			if t.Column(name).Categorical(FeatureRatio) {
				d.categorical = append(d.categorical, name)
			}
		}
	}
	return d, nil
}

// Label returns the label column, or nil.
func (d *Dataset) Label() *Column { return d.role(d.roles.Label) }

// Index returns the index column, or nil.
func (d *Dataset) Index() *Column { return d.role(d.roles.Index) }

// Datetime returns the datetime column, or nil.
func (d *Dataset) Datetime() *Column { return d.role(d.roles.Datetime) }

// role returns the named column; an absent role has no name, though a file may
// have a column without one.
func (d *Dataset) role(name string) *Column {
	if name == "" {
		return nil
	}
	return d.Column(name)
}

// Roles returns the roles as given.
func (d *Dataset) Roles() Roles { return d.roles }

// Features lists the names of the features in order.
func (d *Dataset) Features() []string { return d.features }

// CategoricalFeatures lists the categorical features in feature order when
// inferred, else as given.
func (d *Dataset) CategoricalFeatures() []string { return d.categorical }

// NumericalFeatures lists the features that are numbers and no categories.
func (d *Dataset) NumericalFeatures() []string {
	categorical := make(map[string]bool, len(d.categorical))
	for _, name := range d.categorical {
		categorical[name] = true
	}
	var out []string
	for _, name := range d.features {
		if c := d.Column(name); !categorical[name] && (c.kind.Numeric() || c.kind == Text && c.allNumbers()) {
			out = append(out, name)
		}
	}
	return out
}
