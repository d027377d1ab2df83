"""What every page of ours has to be: readable, narrow enough for a phone, silent in the console."""

# Texts whose contrast with what is behind them is below 4.5:1 (3:1 where they are large), as "contrast text".
LOW_CONTRAST = """
() => {
  const channels = (color) => (color.match(/[\\d.]+/g) || []).map(Number);
  const over = (top, below) => {
    const alpha = top.length > 3 ? top[3] : 1;
    return [0, 1, 2].map((i) => alpha * top[i] + (1 - alpha) * below[i]);
  };
  const light = (color) => {
    const [r, g, b] = color.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    const behind = [];
    for (let one = element; one; one = one.parentElement) {
      behind.unshift(channels(getComputedStyle(one).backgroundColor));
    }
    return behind.filter((color) => color.length > 2).reduce((below, color) => over(color, below), [255, 255, 255]);
  };
  const found = new Set();
  const judge = (seen, below, least, text) => {
    const [high, low] = [light(seen), light(below)].sort((a, b) => b - a);
    const contrast = (high + 0.05) / (low + 0.05);
    if (contrast < least) found.add(contrast.toFixed(2) + " " + text.slice(0, 40));
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const text = texts.currentNode.textContent.trim(), element = texts.currentNode.parentElement;
    if (!text || !element || ["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE"].includes(element.tagName)) continue;
    const style = getComputedStyle(element), box = element.getBoundingClientRect();
    if (style.visibility === "hidden" || !box.width || !box.height) continue;
    if (element.closest("[disabled]")) continue;
    let opacity = 1;
    for (let one = element; one; one = one.parentElement) opacity *= Number(getComputedStyle(one).opacity);
    if (opacity < 0.05) continue;
    const below = ground(element), color = channels(style.color);
    const seen = over([...color.slice(0, 3), (color.length > 3 ? color[3] : 1) * opacity], below);
    const size = parseFloat(style.fontSize), large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    judge(seen, below, large ? 3 : 4.5, text);
  }
  for (const field of document.querySelectorAll("[placeholder]")) {
    if (!field.getBoundingClientRect().width) continue;
    const style = getComputedStyle(field, "::placeholder"), below = ground(field), color = channels(style.color);
    const alpha = (color.length > 3 ? color[3] : 1) * Number(style.opacity);
    judge(over([...color.slice(0, 3), alpha], below), below, 4.5, field.placeholder);
  }
  return [...found];
}
"""
# Pictures without a text in their place, and buttons or fields without a name.
NAMELESS = """
() => [...document.querySelectorAll("img, button, input, textarea, a[href], canvas")].filter((one) => {
  const box = one.getBoundingClientRect();
  if (!box.width || !box.height || one.closest("[aria-hidden=true]")) return false;
  if (one.tagName === "IMG") return !one.hasAttribute("alt");
  if (one.hasAttribute("aria-labelledby") || one.querySelector("img[alt]")) return false;
  const names = [one.getAttribute("aria-label"), one.title, one.textContent, one.placeholder];
  return ![...names, one.labels?.[0]?.textContent].some((text) => text?.trim());
}).map((one) => one.outerHTML.slice(0, 160))
"""


def low_contrast(page) -> list[str]:
    return page.evaluate(LOW_CONTRAST)


def nameless(page) -> list[str]:
    return page.evaluate(NAMELESS)


def pixels_too_wide(page) -> int:
    """By how much a visitor would have to scroll sideways."""
    return page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")


class Console:
    """What a page complains about in the console, and requests that leave it."""

    def __init__(self, page):
        self.errors: list[str] = []
        self.foreign: list[str] = []
        page.on("console", lambda message: self.errors.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("request", self.watch)

    def watch(self, request) -> None:
        if not request.url.startswith(("http://127.0.0.1", "data:", "blob:")):
            self.foreign.append(request.url)
