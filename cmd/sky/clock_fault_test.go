package main

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"google.golang.org/protobuf/reflect/protoreflect"

	"aloft/controller/store"
	"aloft/controller/store/boltstore"
)

// shiftTimes moves every time on record, timers included, as if the clock had jumped meanwhile.
func (w *world) shiftTimes(ms int64) {
	w.Helper()
	st, err := boltstore.Open(filepath.Join(w.home, "state.db"), boltstore.Options{})
	if err != nil {
		w.Fatal(err)
	}
	defer func() {
		if err := st.Close(); err != nil {
			w.Fatal(err)
		}
	}()
	_, err = st.Update(context.Background(), func(tx store.Tx) error {
		for _, c := range store.Clusters(tx) {
			for _, n := range store.NodesOf(tx, c.GetId()) {
				shift(n.ProtoReflect(), ms)
				if err := tx.Put(store.Node, n.GetId(), n); err != nil {
					return err
				}
			}
			for _, j := range store.JobsOf(tx, c.GetId(), 0) {
				shift(j.ProtoReflect(), ms)
				if err := tx.Put(store.Job, j.GetId(), j); err != nil {
					return err
				}
			}
			shift(c.ProtoReflect(), ms)
			if err := tx.Put(store.Cluster, c.GetId(), c); err != nil {
				return err
			}
			if err := tx.Schedule(store.Key{Kind: store.Cluster, ID: c.GetId()}, time.Now().Add(time.Duration(ms)*time.Millisecond)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
}

// shift moves the instants of a record: its fields *_ms that are not durations.
func shift(m protoreflect.Message, ms int64) {
	m.Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		name := string(f.Name())
		switch {
		case f.Kind() == protoreflect.MessageKind && f.IsList():
			for i := range v.List().Len() {
				shift(v.List().Get(i).Message(), ms)
			}
		case f.Kind() == protoreflect.MessageKind && !f.IsMap():
			shift(v.Message(), ms)
		case f.Kind() == protoreflect.Int64Kind && !f.IsList() && strings.HasSuffix(name, "_ms") && v.Int() > 1e12:
			m.Set(f, protoreflect.ValueOfInt64(max(1, v.Int()+ms)))
		}
		return true
	})
}
