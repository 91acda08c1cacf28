package app

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/fsnotify/fsnotify"
)

// WatchConfig says what a Watcher does.
type WatchConfig struct {
	Dir     string        // the app folder
	Skip    []string      // folders in it whose changes do not count; hidden ones never do
	Quiet   time.Duration // without a change before Changed is called, since an editor makes several at once; 0: 100 ms
	Changed func()        // called in the goroutine of the watcher
	Log     *slog.Logger
}

// Watcher tells that an app folder has changed.
type Watcher struct {
	cfg    WatchConfig
	events *fsnotify.Watcher
	stop   chan struct{}
	done   sync.WaitGroup
}

// Watch begins to watch; the caller must Close.
func Watch(cfg WatchConfig) (*Watcher, error) {
	if cfg.Quiet == 0 {
		cfg.Quiet = 100 * time.Millisecond
	}
	events, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, fmt.Errorf("watch the app folder: %w", err)
	}
	w := &Watcher{cfg: cfg, events: events, stop: make(chan struct{})}
	if err := w.add(cfg.Dir); err != nil {
		_ = events.Close()
		return nil, fmt.Errorf("watch the app folder: %w", err)
	}
	w.done.Go(w.run)
	return w, nil
}

// Close ends the watching; it is called once.
func (w *Watcher) Close() {
	close(w.stop)
	w.done.Wait()
}

// add watches a folder and all below it.
func (w *Watcher) add(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil && path == dir:
			return err
		case err != nil || !d.IsDir():
			return nil
		case path != w.cfg.Dir && strings.HasPrefix(d.Name(), "."), w.skips(path):
			return fs.SkipDir
		}
		return w.events.Add(path)
	})
}

func (w *Watcher) skips(path string) bool {
	return slices.ContainsFunc(w.cfg.Skip, func(name string) bool { return path == filepath.Join(w.cfg.Dir, name) })
}

// run waits for changes.
func (w *Watcher) run() {
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
			if e.Op != fsnotify.Chmod && !w.skips(e.Name) {
				quiet.Reset(w.cfg.Quiet)
			}
		case err, ok := <-w.events.Errors:
			if !ok {
				return
			}
			w.cfg.Log.Warn("changes of the app folder may have been missed", "error", err)
			quiet.Reset(w.cfg.Quiet)
		case <-quiet.C:
			w.cfg.Changed()
		}
	}
}

// reload puts a new app in place of the current one, for new connections and requests. A folder with errors keeps the
// old app running.
func (s *Server) reload() {
	old := s.App()
	a, problems := Load(old.Dir, old.load)
	if len(problems) > 0 {
		for _, p := range problems {
			m := mistakeOf(p)
			source, _ := os.ReadFile(filepath.Join(old.Dir, filepath.FromSlash(m.File))) // of what does not compile too
			s.logMistake(slog.LevelError, "the changed app has an error; the old one stays", m, string(source))
		}
		return
	}
	in := s.newInstance(a)
	s.current.Store(in)
	s.jobs.use(in)
	s.cfg.Hub.SetHistory(a.History())
	s.cfg.Log.Info("app loaded again", "app", a.Name)
	s.warn(a)
}
