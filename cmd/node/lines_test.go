package main

import (
	"go/scanner"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// CONTRIBUTING: "No line of Go is longer than 120 columns", but for what stands in one long string.
func TestLineLength(t *testing.T) {
	files := 0
	err := filepath.WalkDir("../..", func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") {
			files++
			var text []byte
			if text, err = os.ReadFile(path); err == nil {
				for _, line := range longLines(text) {
					t.Errorf("%s:%d is longer than %d columns", path, line, maxColumns)
				}
			}
		}
		return err
	})
	if err != nil || files < 300 {
		t.Fatalf("%d files were read: %v", files, err)
	}
}

const (
	maxColumns = 120
	// longString is from which width on a string makes its lines long.
	longString = 40
)

// longLines gives the numbers of lines that are too long and hold no long string.
func longLines(text []byte) (long []int) {
	excused := map[int]bool{}
	files := token.NewFileSet()
	file := files.AddFile("", -1, len(text))
	var s scanner.Scanner
	s.Init(file, text, nil, 0)
	for pos, tok, literal := s.Scan(); tok != token.EOF; pos, tok, literal = s.Scan() {
		if tok == token.STRING && utf8.RuneCountInString(literal) >= longString {
			first := file.Line(pos)
			for n := range strings.Count(literal, "\n") + 1 {
				excused[first+n] = true
			}
		}
	}
	n := 0
	for line := range strings.Lines(string(text)) {
		n++
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > maxColumns && !excused[n] {
			long = append(long, n)
		}
	}
	return long
}

func TestLongLines(t *testing.T) {
	wide := strings.Repeat("x", maxColumns)
	text := "package p\n// " + wide + "\nvar " + wide + " = 1\nvar a = `" + wide + "\n" + wide + "x\n`\nvar b = \"\" // " +
		wide + "\n"
	if got := longLines([]byte(text)); len(got) != 3 || got[0] != 2 || got[1] != 3 || got[2] != 7 {
		t.Errorf("long are %v, want 2, 3 and 7", got)
	}
}
