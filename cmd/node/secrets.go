package main

import (
	"os"
	"strings"
)

// jwtSecrets are the secrets of --jwt-secret or --jwt-secret-file; none when neither is given. The file has one a line, and
// several while they are changed; empty lines and those that begin with # do not count.
func jwtSecrets(text, file string) ([][]byte, error) {
	switch {
	case text != "" && file != "":
		return nil, usagef("--jwt-secret-file: give a secret or a file with secrets, not both")
	case text != "":
		return [][]byte{[]byte(text)}, nil
	case file == "":
		return nil, nil
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, usagef("--jwt-secret-file: %v: name a file that can be read", err)
	}
	var secrets [][]byte
	for line := range strings.Lines(string(content)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			secrets = append(secrets, []byte(line))
		}
	}
	if len(secrets) == 0 {
		return nil, usagef("--jwt-secret-file: %s holds no secret: write one a line", file)
	}
	return secrets, nil
}
