package boltstore_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	bolt "go.etcd.io/bbolt"

	"aloft/controller/store"
	"aloft/controller/store/boltstore"
	statev1 "aloft/proto/sky/state/v1"
)

var ctx = context.Background()

// fill makes a store with some of everything and returns its bytes.
func fill(t testing.TB, path string, clusters int) []byte {
	t.Helper()
	s := open(t, path, boltstore.Options{NoSync: true, Installation: "inst"})
	for i := range clusters {
		_, err := s.Update(ctx, func(tx store.Tx) error {
			id := fmt.Sprintf("c%04d", i)
			tx.Emit(&statev1.Event{Kind: "cluster", Id: id})
			return errors.Join(
				tx.Put(store.Cluster, id, &statev1.Cluster{Id: id, Name: id, Project: "p", LastCommand: strings.Repeat("x", i)}),
				tx.Put(store.Job, "j"+id, &statev1.Job{Id: "j" + id, ClusterId: id, Number: 1}),
				tx.PutIntent(&statev1.Intent{NodeId: "n" + id, Attempt: 1, Token: "t" + id}))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := s.Backup(&b); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll reads everything there is in a store.
func readAll(s *boltstore.Store) error {
	return s.View(ctx, func(tx store.Tx) error {
		for range tx.Scan(store.Query{Kind: store.Cluster}, store.DefaultSchema().Kinds[store.Cluster].New) {
		}
		store.JobsOf(tx, "c0001", 0)
		store.OpenJobs(tx)
		tx.Intents("")
		_, err := tx.Events(0, store.Filter{}, 0)
		return err
	})
}

func TestDamagedFiles(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := fill(t, filepath.Join(dir, "whole.db"), 60)
	other := filepath.Join(dir, "other.db")
	db, err := bolt.Open(other, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	foreign, err := os.ReadFile(other)
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"empty":           {},
		"one byte":        {1},
		"text":            []byte(strings.Repeat("not a database\n", 5000)),
		"zeros":           make([]byte, 64<<10),
		"half":            whole[:len(whole)/2],
		"meta pages only": whole[:2*os.Getpagesize()],
		"foreign":         foreign,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := filepath.Join(t.TempDir(), "state.db")
			if err := os.WriteFile(p, b, 0o600); err != nil {
				t.Fatal(err)
			}
			for _, ro := range []bool{false, true} {
				_, err := boltstore.Open(p, boltstore.Options{ReadOnly: ro})
				if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "backup") {
					t.Error(err)
				}
			}
			if got, err := os.ReadFile(p); err != nil || !bytes.Equal(got, b) {
				t.Error("the file was changed", err)
			}
		})
	}
}

// TestDamageAnywhere damages one place of a file, many times: the store opens and reads, or says that it is corrupt; the
// process does not die, and nothing is written to a file that does not open.
func TestDamageAnywhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	whole := fill(t, filepath.Join(dir, "whole.db"), 60)
	rng := rand.New(rand.NewPCG(1, 1))
	corrupt := 0
	for i := range 400 {
		b := bytes.Clone(whole)
		at := rng.IntN(len(b))
		if i%2 == 0 { // in the header of a page, where it hurts
			at = at/os.Getpagesize()*os.Getpagesize() + rng.IntN(64)
		}
		switch rng.IntN(3) {
		case 0:
			b[at] ^= 1 << rng.IntN(8)
		case 1:
			b = b[:at]
		case 2:
			copy(b[at:], make([]byte, 512))
		}
		p := filepath.Join(dir, "damaged.db")
		if err := os.WriteFile(p, b, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := boltstore.Open(p, boltstore.Options{NoSync: true})
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrNewer) {
				t.Fatal(err)
			}
			if got, _ := os.ReadFile(p); !bytes.Equal(got, b) {
				t.Fatal("a file that does not open was written to")
			}
			corrupt++
			continue
		}
		if err := readAll(s); err != nil {
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatal(err)
			}
			corrupt++
		}
		_, _ = s.Update(ctx, func(tx store.Tx) error {
			return tx.Put(store.Cluster, "c0001", &statev1.Cluster{Id: "c0001", Name: "new"})
		})
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if corrupt < 50 {
		t.Errorf("only %d of 400 damages were noticed", corrupt)
	}
}

func TestTruncatedWhileOpen(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	fill(t, p, 200)
	s := open(t, p, boltstore.Options{NoSync: true})
	if err := os.Truncate(p, 8192); err != nil {
		t.Fatal(err)
	}
	if err := readAll(s); !errors.Is(err, store.ErrCorrupt) {
		t.Error(err)
	}
	if _, err := s.Update(ctx, func(tx store.Tx) error { return tx.Put(store.Cluster, "c0007", &statev1.Cluster{}) }); !errors.Is(err, store.ErrCorrupt) {
		t.Error(err)
	}
}

func TestNewerFormat(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	fill(t, p, 1)
	db, err := bolt.Open(p, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bolt.Tx) error {
		return errors.Join(tx.DeleteBucket([]byte("timer")), tx.Bucket([]byte("meta")).Put([]byte("format"), []byte{0, 0, 0, 9}))
	})
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := boltstore.Open(p, boltstore.Options{}); !errors.Is(err, store.ErrNewer) || !strings.Contains(err.Error(), "upgrade") {
		t.Error(err)
	}
}

func TestReadOnlyMissing(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	if _, err := boltstore.Open(p, boltstore.Options{ReadOnly: true}); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	if _, err := os.Stat(p); err == nil {
		t.Error("a reader made a store")
	}
}

func TestLocked(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	open(t, p, boltstore.Options{NoSync: true})
	for _, ro := range []bool{false, true} {
		_, err := boltstore.Open(p, boltstore.Options{ReadOnly: ro})
		if !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
			t.Error(err)
		}
	}
}

func TestNotWritable(t *testing.T) {
	t.Parallel()
	if os.Geteuid() == 0 {
		t.Skip("root writes everything")
	}
	p := filepath.Join(t.TempDir(), "state.db")
	fill(t, p, 1)
	if err := os.Chmod(p, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := boltstore.Open(p, boltstore.Options{}); !errors.Is(err, store.ErrReadOnly) {
		t.Error(err)
	}
}

func TestBackup(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := fill(t, filepath.Join(dir, "state.db"), 20)
	copied := filepath.Join(dir, "copy.db")
	if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, copied, boltstore.Options{NoSync: true})
	if err := s.View(ctx, func(tx store.Tx) error {
		if n := len(store.Clusters(tx)); n != 20 || tx.Installation() != "inst" || tx.WriterEpoch() != 2 {
			return fmt.Errorf("%d clusters, %s, epoch %d", n, tx.Installation(), tx.WriterEpoch())
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
}

func TestCompactedAtOpen(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	s := open(t, p, boltstore.Options{NoSync: true, KeepEvents: 10})
	big := strings.Repeat("x", 100_000)
	for i := range 100 {
		_, err := s.Update(ctx, func(tx store.Tx) error {
			id := fmt.Sprintf("c%d", i)
			return tx.Put(store.Cluster, id, &statev1.Cluster{Id: id, Name: id, LastCommand: big})
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := s.Update(ctx, func(tx store.Tx) error {
		for i := range 99 {
			if err := tx.Delete(store.Cluster, fmt.Sprintf("c%d", i)); err != nil {
				return err
			}
		}
		return nil
	})
	if err := errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(p)
	if err != nil {
		t.Fatal(err)
	}
	s = open(t, p, boltstore.Options{NoSync: true, CompactAbove: 1 << 20})
	if after, err := os.Stat(p); err != nil || after.Size() > before.Size()/2 {
		t.Errorf("%d bytes before, %d after, %v", before.Size(), after.Size(), err)
	}
	if err := readAll(s); err != nil {
		t.Error(err)
	}
	if _, err := boltstore.Open(p, boltstore.Options{}); !errors.Is(err, store.ErrLocked) {
		t.Error("the compacted file is not locked:", err)
	}
	if _, err := s.Update(ctx, func(tx store.Tx) error { return tx.Put(store.Cluster, "new", &statev1.Cluster{Name: "new"}) }); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, p, boltstore.Options{NoSync: true})
	if err := s.View(ctx, func(tx store.Tx) error {
		_, err := store.FindCluster(tx, "", "new")
		if n := len(store.Clusters(tx)); n != 2 {
			return fmt.Errorf("%d clusters", n)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

func TestReindexed(t *testing.T) {
	t.Parallel()
	p := filepath.Join(t.TempDir(), "state.db")
	fill(t, p, 20)
	schema := store.DefaultSchema()
	schema.Version++
	ks := schema.Kinds[store.Cluster]
	ks.Index = nil
	schema.Kinds[store.Cluster] = ks
	count := func(s *boltstore.Store) (n int) {
		if err := s.View(ctx, func(tx store.Tx) error {
			n = len(store.List[statev1.Cluster](tx, store.Cluster, store.ByProject, "p"))
			_, err := store.FindCluster(tx, "p", "c0003")
			return err
		}); err != nil {
			t.Error(err)
		}
		return n
	}
	s := open(t, p, boltstore.Options{NoSync: true, Schema: schema})
	if n := count(s); n != 0 {
		t.Errorf("%d under an index that the schema does not have", n)
	}
	_ = s.Close()
	if n := count(open(t, p, boltstore.Options{NoSync: true})); n != 20 {
		t.Errorf("%d of 20 under the index that came back", n)
	}
}

var update = flag.Bool("update", false, "write the golden file of the current format")

// TestGolden opens a file of each released format.
func TestGolden(t *testing.T) {
	t.Parallel()
	const golden = "testdata/format-1.db"
	if *update {
		if err := os.WriteFile(golden, fill(t, filepath.Join(t.TempDir(), "s.db"), 3), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	p := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(p, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, p, boltstore.Options{NoSync: true})
	if err := s.View(ctx, func(tx store.Tx) error {
		c, err := store.FindCluster(tx, "p", "c0002")
		if err != nil {
			return err
		}
		j, err := store.JobByNumber(tx, c.GetId(), 1)
		if err != nil {
			return err
		}
		in, err := tx.IntentByToken("tc0002")
		if err != nil {
			return err
		}
		evs, err := tx.Events(0, store.Filter{}, 0)
		if j.GetId() != "jc0002" || in.GetNodeId() != "nc0002" || len(evs) != 3 || tx.Rev() != 3 || tx.Installation() != "inst" {
			return fmt.Errorf("%v %v %v %v", j, in, evs, tx.Rev())
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}

// TestKilled kills a writing process without warning, several times: what it said was committed is there.
func TestKilled(t *testing.T) {
	t.Parallel()
	if p := os.Getenv("BOLTSTORE_WRITE_TO"); p != "" {
		writeUntilKilled(t, p)
		return
	}
	p := filepath.Join(t.TempDir(), "state.db")
	for range 3 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), "BOLTSTORE_WRITE_TO="+p)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		last := 0
		sc := bufio.NewScanner(out)
		for lines := 0; lines < 200 && sc.Scan(); lines++ {
			if n, err := strconv.Atoi(sc.Text()); err == nil {
				last = max(last, n)
			}
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		s := open(t, p, boltstore.Options{})
		if err := s.View(ctx, func(tx store.Tx) error {
			evs, err := tx.Events(0, store.Filter{}, 0)
			n := len(store.Clusters(tx))
			if n < last || n != len(evs) || last == 0 {
				return fmt.Errorf("%d clusters and %d events, %d were committed", n, len(evs), last)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}

// writeUntilKilled prints how many clusters are committed, after each commit.
func writeUntilKilled(t *testing.T, p string) {
	s := open(t, p, boltstore.Options{})
	for {
		n := 0
		_, err := s.Update(ctx, func(tx store.Tx) error {
			n = len(store.Clusters(tx))
			id := fmt.Sprintf("c%05d", n)
			tx.Emit(&statev1.Event{Id: id})
			return tx.Put(store.Cluster, id, &statev1.Cluster{Id: id, Name: id})
		})
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println(n + 1)
	}
}
