package docs_test

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// listed is the line of a listing that names its file.
var listed = regexp.MustCompile(`^(?:--|//|#|<!--|/\*) ([\w-]+/[\w./\[\]-]+)(?: -->| \*/)?$`)

// list writes a listing into its file.
func (s *shell) list(p Page, b block) error {
	if !p.Listings || b.lang == "text" || b.lang == "json" || strings.HasSuffix(b.lang, " example") {
		return nil
	}
	first, _, _ := strings.Cut(b.text, "\n")
	name := listed.FindStringSubmatch(first)
	if name == nil {
		return errors.New("the listing does not begin with the name of its file")
	}
	file := filepath.Join(s.dir, name[1])
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(s.addrs.Replace(b.text)), 0o644)
}
