package auth

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lookEvery is how often a Keyring looks whether its file has changed.
const lookEvery = 2 * time.Second

// Keyring holds the keys of a file that may change while the node runs. A file that has become unreadable, wrong or
// empty changes nothing, and is logged.
type Keyring struct {
	file  string
	fixed Keys
	log   *slog.Logger
	now   atomic.Pointer[Keys]
	stop  chan struct{}
	done  sync.WaitGroup

	last os.FileInfo // owned by watch after Open
}

// OpenKeyring reads the file, "" none, and goes on looking at it. fixed keys are valid beside those of the file.
func OpenKeyring(fixed Keys, file string, log *slog.Logger) (*Keyring, error) {
	k := &Keyring{file: file, fixed: fixed, log: log, stop: make(chan struct{})}
	k.now.Store(&fixed)
	if file == "" {
		return k, nil
	}
	if err := k.read(); err != nil {
		return nil, err
	}
	k.done.Go(k.watch)
	return k, nil
}

// Keys are those that are valid now.
func (k *Keyring) Keys() Keys { return *k.now.Load() }

// Close ends the look-out and waits for it.
func (k *Keyring) Close() {
	close(k.stop)
	k.done.Wait()
}

func (k *Keyring) read() error {
	f, err := os.Open(k.file)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	keys, err := ReadKeys(f)
	if err != nil {
		return fmt.Errorf("%s: %w", k.file, err)
	}
	if !keys.Configured() { // being written just now, perhaps; and without keys --dev would open the API
		return fmt.Errorf("%s holds no key", k.file)
	}
	k.last = info
	all := k.fixed.Join(keys)
	k.now.Store(&all)
	return nil
}

func (k *Keyring) watch() {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-k.stop:
			return
		case <-tick.C:
		}
		info, err := os.Stat(k.file)
		if err == nil && os.SameFile(info, k.last) && info.ModTime().Equal(k.last.ModTime()) && info.Size() == k.last.Size() {
			continue
		}
		if err == nil {
			err = k.read()
		}
		switch {
		case err == nil:
			told = ""
			k.log.Info("API keys read again", "file", k.file, "keys", len(k.Keys().keys))
		case err.Error() != told:
			told = err.Error()
			k.log.Error("API keys stay as they were", "error", err)
		}
	}
}
