package main

import (
	"net"
	"net/http"
	"net/url"
	"slices"

	"rollcall/app"
	"rollcall/auth"
)

const (
	listenEverywhere = ":6745"
	listenHere       = "127.0.0.1:6745" // with --dev
)

// guardDev keeps pages of names that were led to this machine (DNS rebinding) away from an app under --dev: to the
// browser they are of one origin with it, and there may be no token to ask for.
func (c *Config) guardDev(next http.HandlerFunc) http.HandlerFunc {
	if !c.Dev {
		return next
	}
	return func(w http.ResponseWriter, r *http.Request) {
		if !c.ownHost(r.Host) {
			(&app.Refusal{Status: http.StatusForbidden, Detail: "with --dev this node answers to localhost and to addresses: " +
				"name the host " + auth.HostName(r.Host) + " in --allowed-origins if it is yours"}).Write(w)
			return
		}
		next(w, r)
	}
}

// ownHost tells that a Host field can mean this node alone, or that the configuration names it. Browsers always send
// one.
func (c *Config) ownHost(host string) bool {
	if host == "" || auth.IsLocalHost(host) || auth.IsAddress(host) {
		return true
	}
	name := auth.HostName(host)
	if listens, _, err := net.SplitHostPort(c.Listen); err == nil && auth.HostName(listens) == name {
		return true
	}
	return slices.ContainsFunc(c.origins, func(o string) bool {
		u, err := url.Parse(o)
		return o == "*" || err == nil && auth.HostName(u.Host) == name
	})
}
