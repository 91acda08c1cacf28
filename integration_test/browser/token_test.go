package browser_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/testkit"
	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// The client gives its token as a subprotocol, renews it while connected, and comes back with a new one
// when the old one has expired.
func TestTokenClient(t *testing.T) {
	b := startBrowser(t)
	issuer := tokentest.NewIssuer(t)
	node := nodetest.Start(t, nodetest.Options{App: "../testdata/private",
		Flags: append(issuer.Flags(), "--jwt-leeway", "0s")})
	p := b.tab("Ann")
	p.load("http://" + node.Addr() + "/open")
	p.importClient()
	p.do(`
		window.opened = [], window.sent = [], window.codes = [];
		window.Socket = class extends WebSocket {
			constructor(...args) {
				super(...args);
				opened.push(this);
				this.addEventListener("close", (e) => codes.push(e.code));
			}
			send(data) { sent.push(data); super.send(data); }
		}`)
	url := "ws://" + node.Addr() + "/ws/private"
	start := func(tokens ...string) {
		t.Helper()
		p.do(fmt.Sprintf(`
			const tokens = %s;
			opened.length = sent.length = codes.length = 0, window.got = [];
			window.client = connect(%q, { WebSocket: Socket, renew: true, token: async () => {
				const t = tokens.shift();
				if (!t) throw new Error("no login");
				return t;
			} });
			client.on("message", (data) => got.push(data))`, nodetest.JSON(tokens), url))
	}
	soon := func() string { return issuer.Token("ann", 4*time.Second, nil) }

	start(soon(), issuer.Token("ann", time.Hour, tokentest.Claims{"name": "Änn"}))
	p.await("the first frame", `got.length === 1 && got[0] === "ann"`)
	p.await("a renewal", `sent.length === 1 && JSON.parse(sent[0]).event === "token"`)
	began := time.Now()
	testkit.Within(t, "the first token expires", time.Minute,
		func() bool { return time.Since(began) > 3*time.Second })
	p.await("the same connection, still open",
		`opened.length === 1 && opened[0].readyState === 1 && got.length === 1 && opened[0].protocol === "rollcall"`)
	p.do(`client.close()`)
	p.await("the end", `codes.join() === "1000"`)

	// the login is away when a renewal is due, for longer than the token lives
	start(soon(), "", "", "", "", issuer.Token("ann", time.Hour, nil))
	p.await("closed", `codes[0] === 4401`)
	p.await("another connection", `opened.length === 2 && opened[1].readyState === 1 && got.length === 2`)
	p.do(`client.close()`)
	p.await("the end", `codes.join() === "4401,1000"`)

	// A timer takes no more than 24 days.
	start(issuer.Token("ann", 100*24*time.Hour, nil), issuer.Token("ann", 100*24*time.Hour, nil))
	p.await("the first frame", `got.length === 1`)
	p.do(`opened[0].send("anything")`)
	p.await("the answer, and no renewal before it", `got.length === 2 && sent.join() === "anything"`)
}
