package browser_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"rollcall/testkit/nodetest"
	"rollcall/testkit/tokentest"
)

// The page of examples/private takes a token from the fragment, hides it, renews it, and says when it has expired.
func TestPrivatePage(t *testing.T) {
	b := startBrowser(t)
	issuer := tokentest.NewIssuer(t)
	n := nodetest.Start(t, nodetest.Options{App: "../../examples/private",
		Flags: append(issuer.Flags(), "--dev", "--jwt-leeway", "0s")})
	token := func(user string, ttl time.Duration) string {
		return issuer.Token(user, ttl, tokentest.Claims{"preferred_username": user + "!", "channels": []string{"room:green"}})
	}
	at := func(room, token string) string {
		return "http://" + n.Addr() + "/#" + url.Values{"room": {room}, "token": {token}}.Encode()
	}
	ada, bob := b.tab("Ada"), b.tab("Bob")
	ada.load(at("green", token("ada", time.Hour)))
	bob.load(at("green", token("bob", 8*time.Second)))
	for _, p := range []*page{ada, bob} {
		p.await("both", `[...document.querySelectorAll("#people li")].map((li) => li.textContent).sort().join() === "ada!online,bob!online"`)
		p.await("an address without the token", `location.hash === "" && !location.href.includes("ey")`)
	}
	ada.do(`document.querySelector("#say input").focus()`)
	ada.run("say", chromedp.SendKeys(chromedp.CSS("#say input"), "hello"), enter())
	bob.await("what Ada said", `document.querySelector("#said li")?.textContent === "ada!hello"`)

	renew := func(token string) {
		t.Helper()
		bob.do(`document.querySelector("#renew input").value = ` + nodetest.JSON(token) +
			`; document.getElementById("renew").requestSubmit()`)
	}
	renew(token("ada", time.Hour))
	bob.await("why not", `document.getElementById("token").textContent === "Not renewed: the token is for another user."`)
	renew(token("bob", 12*time.Second))
	bob.await("the new time", `document.getElementById("token").textContent.startsWith("Renewed until")`)
	bob.await("the end", `document.getElementById("status").textContent === "The token has expired: give a new one."`)
	ada.await("that Bob has gone",
		`[...document.querySelectorAll("#people li")].map((li) => li.textContent).join() === "ada!online"`)
	renew(token("bob", time.Hour))
	ada.await("that Bob is back", `document.querySelectorAll("#people li").length === 2`)

	// Another room, which the token does not allow.
	bob.do(`location.hash = "room=blue"`)
	bob.await("why not", `document.getElementById("status").textContent.includes("is not allowed by the token")`)
	ada.await("that Bob has left", `document.querySelectorAll("#people li").length === 1`)
}
