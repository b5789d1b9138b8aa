"""Ways through the report, as links go."""


def go(page, route: str) -> None:
    """Follow an address within the page, as a link does."""
    page.evaluate("route => { location.hash = route; }", route)
    arrived(page, route)
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def arrived(page, route: str) -> None:
    """Wait until the view of an address is drawn: the address itself changes before that."""
    page.wait_for_function("""route => document.body.dataset.drawn === location.hash
        && decodeURIComponent(location.hash.slice(1)).startsWith(route.split('?')[0])""", arg=route)


def views(page) -> list[str]:
    """Every view of the navigation, a sentence of the slides alone, and three claims: with a figure, with the most rows, the last."""
    return page.evaluate("""() => {
        const claims = [...document.querySelectorAll(".claim")];
        const most = claims.reduce((a, b) => (b.querySelectorAll("tr").length > a.querySelectorAll("tr").length ? b : a));
        const drawn = claims.find((claim) => claim.querySelector(".drawing")) || claims[0];
        const links = [...document.querySelectorAll(".bar nav a")].map((link) => link.hash.slice(1));
        return [...new Set([...links, drawn.id, most.id, claims.at(-1).id, document.querySelector("a.frame").dataset.frame])];
    }""")
