package app

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watcher loads the app again when its folder has changed (--dev). A folder with errors keeps the old app running.
type watcher struct {
	server *Server
	dir    string
	events *fsnotify.Watcher
	stop   chan struct{}
	done   sync.WaitGroup
}

func newWatcher(s *Server) (*watcher, error) {
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the app folder: %w", err)
	}
	w := &watcher{server: s, dir: s.cfg.App.Dir, events: events, stop: make(chan struct{})}
	if err := w.add(w.dir); err != nil {
		_ = events.Close()
		return nil, fmt.Errorf("watch the app folder: %w", err)
	}
	return w, nil
}

func (w *watcher) start() { w.done.Go(w.run) }

// close is called once.
func (w *watcher) close() {
	close(w.stop)
	w.done.Wait()
}

// add watches a folder and all below it, but for hidden ones and public/, whose files are read anew anyway.
func (w *watcher) add(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil || !d.IsDir():
			return nil
		case path != w.dir && strings.HasPrefix(d.Name(), "."), path == filepath.Join(w.dir, "public"):
			return fs.SkipDir
		}
		return w.events.Add(path)
	})
}

// run waits for changes; the app is loaded when there were none for a while, since an editor makes several at once.
func (w *watcher) run() {
	quiet := time.NewTimer(time.Hour)
	quiet.Stop()
	defer quiet.Stop()
	defer func() { _ = w.events.Close() }()
	for {
		select {
		case <-w.stop:
			return
		case e, ok := <-w.events.Events:
			if !ok {
				return
			}
			if e.Has(fsnotify.Create) {
				_ = w.add(e.Name) // no folder, or gone again
			}
			if e.Op != fsnotify.Chmod {
				quiet.Reset(w.server.cfg.Reload)
			}
		case err, ok := <-w.events.Errors:
			if !ok {
				return
			}
			w.server.cfg.Log.Warn("changes of the app folder may have been missed", "error", err)
			quiet.Reset(w.server.cfg.Reload)
		case <-quiet.C:
			w.reload()
		}
	}
}

// reload puts a new app in place of the current one, for new connections and requests.
func (w *watcher) reload() {
	s := w.server
	a, problems := Load(w.dir, s.App().load)
	if len(problems) > 0 {
		for _, p := range problems {
			s.cfg.Log.Error("the changed app has an error; the old one stays", "error", p)
		}
		return
	}
	s.current.Store(s.newInstance(a))
	s.cfg.Log.Info("app loaded again", "app", a.Name)
}
