package docs_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// tutorialPage is docs/tutorial.md: its files are written as the page goes on, and its node starts anew with a secret.
var tutorialPage = Page{File: "tutorial.md", Listings: true}

// docker tells whether a Docker daemon answers. Then blocks that use one have names and a network of their own, and
// what they leave is removed with the test.
func (s *shell) docker() bool {
	s.t.Helper()
	if s.dockerReady {
		return true
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if out, err := exec.CommandContext(ctx, "docker", "version").CombinedOutput(); err != nil {
		if os.Getenv("ROLLCALL_TEST_REQUIRE") != "" {
			s.t.Fatalf("no docker daemon answers, and ROLLCALL_TEST_REQUIRE is set: %v\n%s", err, out)
		}
		s.t.Logf("no docker daemon answers: its blocks are not run")
		return false
	}
	source, err := filepath.Abs(root)
	if err != nil {
		s.t.Fatal(err)
	}
	name := fmt.Sprintf("rollcalldocs%08x", rand.Uint32())
	s.env = append(s.env, "SOURCE="+source, "COMPOSE_PROJECT_NAME="+name, "ROLLCALL_IMAGE=rollcall:"+name,
		fmt.Sprintf("ROLLCALL_SUBNET=172.30.%d.0/24", 68+rand.IntN(180)))
	s.t.Cleanup(func() {
		end := block{lang: "sh docker", text: `docker compose -f "$SOURCE/docker-compose.yml" down -v --timeout 5; docker image rm -f "$ROLLCALL_IMAGE"`}
		if err := s.run(end, nil); err != nil {
			s.t.Logf("remove containers and image: %v", err)
		}
	})
	s.dockerReady = true
	return true
}

// Blocks for Docker are run where it answers.
func TestDockerBlocks(t *testing.T) {
	need(t, "docker")
	s := Page{File: "none.md"}.shell(t)
	if !s.docker() {
		t.Skip("no daemon")
	}
	if err := s.run(block{text: `docker compose -f "$SOURCE/docker-compose.yml" config -q` + "\n"}, nil); err != nil {
		t.Error(err)
	}
}
