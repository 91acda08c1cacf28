package redisconn

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// Address is a parsed Redis URL.
type Address struct {
	Kind     Kind
	Network  string   // "tcp" or "unix"
	Hosts    []string // host:port each, or the one socket path
	Master   string   // Sentinel only: the master's name
	Username string
	Password string
	DB       int
	TLS      *tls.Config // nil: plain

	SentinelUsername string
	SentinelPassword string
}

// Kind is the way in which a Redis is run.
type Kind int

const (
	Standalone Kind = iota
	Cluster
	Sentinel
)

func (k Kind) String() string { return [...]string{"standalone", "cluster", "sentinel"}[k] }

// ParseURL reads one of
//
//	redis://[user:password@]host[:6379][/db]
//	redis://[user:password@]host1[:6379],host2[:6379],…            a Cluster
//	redis+sentinel://[user:password@]host1[:26379],…/master[/db]   Sentinel
//	unix://[user:password@]/path/to/redis.sock
//
// with rediss:// and rediss+sentinel:// for TLS. As query: db=N; cluster=true (a Cluster with one seed host);
// skip_verify=true (TLS without a check of the certificate); sentinel_username and
// sentinel_password. Anything else is an error that names it. Errors never hold the password.
//
// It is our own because redis.ParseURL takes one host and reads "h1,h2:port" wrongly without an error.
func ParseURL(raw string) (Address, error) {
	a, err := parseURL(raw)
	if err != nil {
		return Address{}, fmt.Errorf("redis url: %w", err)
	}
	return a, nil
}

func parseURL(raw string) (Address, error) {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return Address{}, fmt.Errorf("want redis://host:port, no scheme given")
	}
	a := Address{Network: "tcp"}
	port, secure := "6379", false
	switch scheme {
	case "redis":
	case "rediss":
		secure = true
	case "redis+sentinel", "rediss+sentinel":
		a.Kind, port, secure = Sentinel, "26379", scheme == "rediss+sentinel"
	case "unix":
		a.Network = "unix"
	default:
		return Address{}, fmt.Errorf("unknown scheme %q, want redis, rediss, redis+sentinel, rediss+sentinel or unix", scheme)
	}

	// net/url has no notion of several hosts: take them out before it reads the rest.
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	userinfo, hosts := "", authority
	if i := strings.LastIndexByte(authority, '@'); i >= 0 {
		userinfo, hosts = authority[:i+1], authority[i+1:]
	}
	u, err := url.Parse("redis://" + userinfo + "host" + tail)
	if err != nil {
		return Address{}, fmt.Errorf("bad user, password, path or query")
	}
	if u.Fragment != "" {
		return Address{}, fmt.Errorf("unexpected #%s", u.Fragment)
	}
	a.Username = u.User.Username()
	a.Password, _ = u.User.Password()

	if a.Network == "unix" {
		if hosts != "" {
			return Address{}, fmt.Errorf("want unix:///path/to/socket, got the host %q", hosts)
		}
		if len(u.Path) < 2 {
			return Address{}, fmt.Errorf("no socket path")
		}
		a.Hosts = []string{path.Clean(u.Path)}
	} else {
		if a.Hosts, err = splitHosts(hosts, port); err != nil {
			return Address{}, err
		}
		if err := a.readPath(u.Path); err != nil {
			return Address{}, err
		}
		if a.Kind == Standalone && len(a.Hosts) > 1 {
			a.Kind = Cluster
		}
		if secure {
			a.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
			if len(a.Hosts) == 1 {
				a.TLS.ServerName, _, _ = net.SplitHostPort(a.Hosts[0])
			}
		}
	}
	if err := a.readQuery(u.RawQuery); err != nil {
		return Address{}, err
	}
	if a.Kind == Cluster && a.DB != 0 {
		return Address{}, fmt.Errorf("database %d: a Cluster has only database 0", a.DB)
	}
	return a, nil
}

func splitHosts(list, port string) ([]string, error) {
	if list == "" {
		return nil, fmt.Errorf("no host")
	}
	hosts := strings.Split(list, ",")
	for i, host := range hosts {
		if host == "" {
			return nil, fmt.Errorf("empty host in %q", list)
		}
		name, number, err := net.SplitHostPort(host)
		if err != nil {
			name, number = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), port
			if strings.Contains(name, ":") && !strings.HasPrefix(host, "[") {
				return nil, fmt.Errorf("bad host %q", host)
			}
		}
		if n, err := strconv.ParseUint(number, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("bad port in %q", host)
		}
		if name == "" {
			name = "localhost"
		}
		hosts[i] = net.JoinHostPort(name, number)
	}
	return hosts, nil
}

// readPath reads /db, with Sentinel /master or /master/db.
func (a *Address) readPath(p string) error {
	db := strings.Trim(p, "/")
	if a.Kind == Sentinel {
		if a.Master, db, _ = strings.Cut(db, "/"); a.Master == "" {
			return fmt.Errorf("no master name, want redis+sentinel://host:26379/mymaster")
		}
	}
	return a.readDB(db)
}

func (a *Address) readDB(db string) error {
	if db == "" {
		return nil
	}
	n, err := strconv.ParseUint(db, 10, 16)
	if err != nil {
		return fmt.Errorf("bad database %q, want a number", db)
	}
	a.DB = int(n)
	return nil
}

func (a *Address) readQuery(raw string) error {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return fmt.Errorf("bad query")
	}
	for name, values := range query {
		value := values[len(values)-1]
		switch name {
		case "db":
			err = a.readDB(value)
		case "sentinel_username":
			a.SentinelUsername = value
		case "sentinel_password":
			a.SentinelPassword = value
		case "cluster":
			var on bool
			if on, err = readBool(name, value); on && (a.Kind == Sentinel || a.Network == "unix") {
				err = fmt.Errorf("cluster=true does not go with this scheme")
			} else if on {
				a.Kind = Cluster
			}
		case "skip_verify":
			var on bool
			if on, err = readBool(name, value); on && a.TLS == nil {
				err = fmt.Errorf("skip_verify needs rediss://")
			} else if on {
				a.TLS.InsecureSkipVerify = true
			}
		default:
			err = fmt.Errorf("unknown option %q", name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func readBool(name, value string) (bool, error) {
	on, err := strconv.ParseBool(value)
	if err != nil {
		return false, fmt.Errorf("%s=%s: want true or false", name, value)
	}
	return on, nil
}
