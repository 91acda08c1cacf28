package redisconn_test

import (
	"fmt"
	"strings"
	"testing"

	"rollcall/redisconn"
)

// SPEC 3, --redis.
func TestParseURL(t *testing.T) {
	for _, test := range []struct{ url, want string }{
		{"redis://localhost", "standalone [localhost:6379]"},
		{"redis://10.0.0.1:7000/3", "standalone [10.0.0.1:7000] db=3"},
		{"redis://h:1?db=4", "standalone [h:1] db=4"},
		{"redis://user:p%40ss@h:1", "standalone [h:1] user=user password=p@ss"},
		{"redis://:secret@h:1", "standalone [h:1] password=secret"},
		{"redis://:p@ss@h:1", "standalone [h:1] password=p@ss"},
		{"redis://[::1]:7000", "standalone [[::1]:7000]"},
		{"redis://[::1]", "standalone [[::1]:6379]"},
		{"rediss://h:1", "standalone [h:1] tls=h"},
		{"rediss://h:1?skip_verify=true", "standalone [h:1] tls=h unverified"},
		{"redis://h1:1,h2:2,h3", "cluster [h1:1 h2:2 h3:6379]"},
		{"redis://u:p@h1:1,[::1]:2", "cluster [h1:1 [::1]:2] user=u password=p"},
		{"redis://h:1?cluster=true", "cluster [h:1]"},
		{"rediss://h1:1,h2:2", "cluster [h1:1 h2:2] tls="},
		{"unix:///run/redis.sock", "standalone [/run/redis.sock] unix"},
		{"unix://:secret@/run/redis.sock?db=2", "standalone [/run/redis.sock] unix db=2 password=secret"},
		{"redis+sentinel://s1,s2:1/mymaster", "sentinel [s1:26379 s2:1] master=mymaster"},
		{"redis+sentinel://u:p@s1/mymaster/5?sentinel_username=su&sentinel_password=sp",
			"sentinel [s1:26379] master=mymaster db=5 user=u password=p sentinel=su:sp"},
		{"rediss+sentinel://s1/mymaster", "sentinel [s1:26379] master=mymaster tls=s1"},

		{"", "error: want redis://host:port, no scheme given"},
		{"localhost:6379", "error: want redis://host:port, no scheme given"},
		{"http://h", `error: unknown scheme "http"`},
		{"redis://", "error: no host"},
		{"redis://h1,,h2", "error: empty host"},
		{"redis://h:port", `error: bad port in "h:port"`},
		{"redis://h:0", "error: bad port"},
		{"redis://::1", "error: bad host"},
		{"redis://h/first", `error: bad database "first"`},
		{"redis://h1,h2/1", "error: database 1: a Cluster has only database 0"},
		{"redis://h?pool=3", `error: unknown option "pool"`},
		{"redis://h?cluster=maybe", "error: cluster=maybe"},
		{"redis://h?skip_verify=true", "error: skip_verify needs rediss://"},
		{"redis://h#x", "error: unexpected #x"},
		{"redis+sentinel://s1", "error: no master name"},
		{"redis+sentinel://s1/m?cluster=true", "error: cluster=true does not go"},
		{"unix://", "error: no socket path"},
		{"unix://run/redis.sock", `error: want unix:///path`},
	} {
		if got := describe(test.url); got != test.want &&
			!(strings.HasPrefix(test.want, "error: ") && strings.HasPrefix(got, test.want)) {
			t.Errorf("%s: %s, want %s", test.url, got, test.want)
		}
	}
	for _, url := range []string{"redis://:hunter2@h:port", "redis://:hunter2%zz@h", "redis://:hunter2@h?x=1"} {
		if _, err := redisconn.ParseURL(url); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: the error tells the password: %v", url, err)
		}
	}
}

// describe is a line about a parsed URL.
func describe(url string) string {
	a, err := redisconn.ParseURL(url)
	if err != nil {
		return "error: " + strings.TrimPrefix(err.Error(), "redis url: ")
	}
	s := fmt.Sprint(a.Kind, " ", a.Hosts)
	add := func(on bool, format string, args ...any) {
		if on {
			s += " " + fmt.Sprintf(format, args...)
		}
	}
	add(a.Network == "unix", "unix")
	add(a.Master != "", "master=%s", a.Master)
	add(a.DB != 0, "db=%d", a.DB)
	add(a.Username != "", "user=%s", a.Username)
	add(a.Password != "", "password=%s", a.Password)
	add(a.SentinelUsername != "", "sentinel=%s:%s", a.SentinelUsername, a.SentinelPassword)
	if a.TLS != nil {
		add(true, "tls=%s", a.TLS.ServerName)
		add(a.TLS.InsecureSkipVerify, "unverified")
	}
	return s
}
