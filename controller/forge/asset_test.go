package forge_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"aloft/controller/forge"
	"aloft/controller/forge/forgetest"
)

// TestKeepFile keeps pictures on a branch of their own, from several jobs at once, with answers that get lost.
func TestKeepFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &forgetest.Server{Kind: forge.GitHub}
		c, stop := client(t, s)
		defer stop()
		keep := c.(forge.BranchKeeper)
		lost := 0
		var mu sync.Mutex
		s.Lose = func(r *http.Request, _ int) bool {
			mu.Lock()
			defer mu.Unlock()
			if r.Method == http.MethodGet || lost == 3 {
				return false
			}
			lost++
			return true
		}
		var wg sync.WaitGroup
		for i := range 4 {
			wg.Go(func() {
				name := fmt.Sprintf("%d.png", i)
				for range 2 {
					address, err := keep.KeepFile(context.Background(), "sky-assets", name, []byte(name))
					if err != nil || address != "http://forge.example/acme/model/blob/sky-assets/"+name+"?raw=true" {
						t.Errorf("%s, %v", address, err)
					}
				}
			})
		}
		wg.Wait()
		files, commits := s.Branch("sky-assets")
		if len(files) != 4 || string(files["2.png"]) != "2.png" || commits < 4 || commits > 4+lost {
			t.Errorf("%d files in %d commits", len(files), commits)
		}
		before := len(s.Log)
		if _, err := keep.KeepFile(context.Background(), "sky-assets", "2.png", []byte("2.png")); err != nil || len(s.Log) != before+1 || !strings.HasPrefix(s.Log[before], "GET ") {
			t.Errorf("what is there is sent again: %v, %v", s.Log[before:], err)
		}
	})
}
