// What can be computed about what is seen. Evaluated in the page; each check answers with sentences, none when all is well.
(() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });

  /** Any CSS colour as [r, g, b, a], 0..1. */
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].map((value) => value / 255);
  };
  const over = (top, below) => {
    const alpha = top[3] + below[3] * (1 - top[3]);
    const mixed = [0, 1, 2].map((i) => (top[i] * top[3] + below[i] * below[3] * (1 - top[3])) / (alpha || 1));
    return [...mixed, alpha];
  };
  /** WCAG 2.2, relative luminance. */
  const luminance = (colour) => {
    const [r, g, b] = colour.map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  /** The least ratio of a colour, which may let its ground through, to any of these grounds. */
  const least = (colour, grounds) => Math.min(...grounds.map((ground) => ratio(over(colour, ground), ground)));
  const ratio = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const COLOUR = /(?:rgba?|hsla?|hwb|lab|lch|oklab|oklch|color)\([^()]*\)|#[0-9a-f]{3,8}\b/gi;
  /** What may be behind the contents of an element: its colour, or any colour that a gradient of it has somewhere. */
  /** The element around it, out of shadow roots too. */
  const around = ({ parentElement, parentNode }) => parentElement ?? (parentNode instanceof ShadowRoot ? parentNode.host : null);
  const groundsOf = (element) => {
    let grounds = [[0, 0, 0, 0]];
    for (let each = element; each && grounds.some((ground) => ground[3] < 1); each = around(each)) {
      const style = getComputedStyle(each);
      const flat = rgba(style.backgroundColor);
      const stops = style.backgroundImage.match(COLOUR) ?? [];
      const layers = stops.length > 0 ? stops.map((stop) => over(rgba(stop), flat)) : [flat];
      const all = grounds.flatMap((ground) => (ground[3] < 1 ? layers.map((layer) => over(ground, layer)) : [ground]));
      grounds = [...new Map(all.map((ground) => [ground.map((value) => value.toFixed(3)).join(), ground])).values()];
    }
    return grounds.map((ground) => over(ground, rgba("Canvas")));
  };
  const opacityOf = (element) => {
    let opacity = 1;
    for (let each = element; each; each = around(each)) opacity *= Number(getComputedStyle(each).opacity);
    return opacity;
  };
  const isHidden = (element) =>
    element.closest(".tidings-hidden") !== null || opacityOf(element) === 0 || !element.checkVisibility({ visibilityProperty: true });
  const isDisabled = (element) => element.closest(":disabled") !== null;
  const nameOf = (element) =>
    `${element.localName}.${[...element.classList].join(".")} “${(element.textContent || element.ariaLabel || "").trim().slice(0, 30)}”`;
  /** The document, and the shadow roots in it. */
  const roots = () => {
    const found = [document];
    for (const root of found) found.push(...[...root.querySelectorAll("*")].flatMap((each) => each.shadowRoot ?? []));
    return found;
  };
  const all = (selector) =>
    roots()
      .flatMap((root) => [...root.querySelectorAll(root === document ? selector : selector.replaceAll("body ", ""))])
      .filter((each) => !isHidden(each));

  /** Whatever glides into its colour or its place has arrived. */
  const arrive = () => {
    const ends = (each) => each.effect.getComputedTiming().endTime !== Infinity;
    roots().flatMap((root) => root.getAnimations()).filter(ends).forEach((each) => each.finish());
  };

  /** Text 4.5 to 1, drawings and edges that tell something 3 to 1. */
  const contrast = () => {
    arrive();
    const found = [];
    const wants = (what, colour, grounds, need) => {
      const is = least(colour, grounds);
      if (is < need) found.push(`${what}: ${is.toFixed(2)}, not ${need}`);
    };
    let texts = 0;
    let drawings = 0;
    for (const element of all("body *")) {
      if (isDisabled(element) || element.closest("svg")) continue;
      const style = getComputedStyle(element);
      const opacity = opacityOf(element);
      const seen = ([r, g, b, a]) => [r, g, b, a * opacity];
      if ([...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim() !== "")) {
        texts += 1;
        wants(`text of ${nameOf(element)}`, seen(rgba(style.color)), groundsOf(element), 4.5);
      }
      if (element.matches("input, textarea")) {
        texts += 1;
        wants(`text of ${nameOf(element)}`, seen(rgba(style.color)), groundsOf(element), 4.5);
        const hint = getComputedStyle(element, "::placeholder");
        wants(`placeholder of ${nameOf(element)}`, seen(rgba(hint.color)), groundsOf(element), 4.5);
        if (element.closest(".tidings-search")) continue; // the drawing in it, looked at below, says what it is
        wants(`edge of ${nameOf(element)}`, seen(rgba(style.borderTopColor)), groundsOf(around(element)), 3);
      }
    }
    for (const svg of all("svg")) {
      if (isDisabled(svg) || svg.matches(".tidings-art")) continue; // art tells nothing
      const grounds = groundsOf(svg.parentElement);
      const opacity = opacityOf(svg);
      for (const part of svg.querySelectorAll("*")) {
        const style = getComputedStyle(part);
        for (const paint of [style.fill, style.stroke]) {
          if (paint === "none") continue;
          drawings += 1;
          const [r, g, b, a] = rgba(paint);
          wants(`${part.localName} in ${nameOf(svg.parentElement)}`, [r, g, b, a * opacity], grounds, 3);
        }
      }
    }
    return { found: [...new Set(found)], texts, drawings };
  };

  const CONTROLS = "a[href], button, input, textarea, select, [tabindex='0'], [role='separator']";

  /** Controls under 24 px either way (WCAG 2.2, 2.5.8), except links in a text; and ours under 40, what a mouse brings up under 32. */
  const targets = () => {
    arrive();
    const found = [];
    for (const element of all(CONTROLS)) {
      if (element.closest(".tidings-text, p") && element.localName === "a") continue;
      const { width, height } = element.getBoundingClientRect();
      const least = element.matches(".tidings-fold, article, [role='separator'], .page a") ? 24 : element.closest(".tidings-toolbar") ? 32 : 40;
      if (width < least || height < least) found.push(`${nameOf(element)}: ${width.toFixed(1)} x ${height.toFixed(1)}`);
    }
    return found;
  };

  /** What needs scrolling sideways, sticks out of the window, or is cut off without saying so. */
  const cut = () => {
    const found = [];
    const root = document.scrollingElement;
    if (root.scrollWidth > innerWidth) found.push(`the page is ${root.scrollWidth} px wide in ${innerWidth}`);
    if (root.scrollHeight > innerHeight && root.querySelector(".page")) found.push(`the page is ${root.scrollHeight} px high in ${innerHeight}`);
    for (const element of all("body *")) {
      if (element.closest("svg") || element.localName === "input") continue; // a field scrolls what does not fit
      const style = getComputedStyle(element);
      const box = element.getBoundingClientRect();
      if (box.width === 0 || box.height === 0) continue;
      const isCutting = style.overflowX !== "visible" && style.textOverflow !== "ellipsis" && style.maskImage === "none";
      if (element.scrollWidth > element.clientWidth + 1 && element.clientWidth > 0 && isCutting) {
        found.push(`${nameOf(element)} is ${element.scrollWidth} px wide in ${element.clientWidth}`);
      }
      if (style.overflowY === "hidden" && element.scrollHeight > element.clientHeight + 2 && !element.dataset.clamped) {
        if (style.textOverflow !== "ellipsis") found.push(`${nameOf(element)} is cut at its lower end`);
      }
      if (box.left < -1 || box.right > innerWidth + 1) found.push(`${nameOf(element)} sticks out sideways`);
      if (element.matches(".tidings-composer, .tidings-header, .tidings-banner") && (box.top < -1 || box.bottom > innerHeight + 1)) {
        found.push(`${nameOf(element)} is not in the window`);
      }
    }
    return found;
  };

  /** Focus each control: there is a ring of 3 to 1, and neither pill nor edge of the list covers it. */
  const focus = async () => {
    const found = [];
    const pillOver = (box) => {
      const pill = document.querySelector(".tidings-pill")?.getBoundingClientRect();
      return pill && box.bottom > pill.top + 1 && box.right > pill.left && box.left < pill.right;
    };
    let rings = 0;
    const before = document.activeElement;
    const scroll = document.querySelector(".tidings-scroll");
    const place = scroll?.scrollTop;
    for (const element of all(`${CONTROLS}, article`)) {
      if (isDisabled(element)) continue;
      element.focus();
      if (element.getRootNode().activeElement !== element) continue;
      arrive();
      const ringed = element.closest(".tidings-composer-card:has(textarea:focus-visible)") ?? element; // one sees one field
      const style = getComputedStyle(ringed);
      const line = getComputedStyle(element, "::after"); // a separator shows its focus as a line
      const hasLine = element.role === "separator" && parseFloat(line.width) >= 2;
      if (!hasLine && (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 1)) {
        found.push(`no ring around ${nameOf(element)}`);
        continue;
      }
      rings += 1;
      const inside = parseFloat(style.outlineOffset) < 0;
      const grounds = groundsOf(inside ? ringed : around(ringed));
      const is = least(rgba(hasLine ? line.backgroundColor : style.outlineColor), grounds);
      if (is < 3) found.push(`ring around ${nameOf(element)}: ${is.toFixed(2)}, not 3`);
      const box = element.getBoundingClientRect();
      const list = element.closest(".tidings-scroll")?.getBoundingClientRect();
      if (!list) continue;
      const isTall = box.height > list.height - 80;
      if (!isTall && (box.top < list.top - 1 || box.bottom > list.bottom + 1)) {
        found.push(`${nameOf(element)} has the focus and is out of sight`);
      }
      if (isTall || !pillOver(box)) continue;
      // At the end the pill goes; that takes some frames.
      const until = performance.now() + 5000;
      while (pillOver(element.getBoundingClientRect()) && performance.now() < until) {
        await new Promise(requestAnimationFrame);
      }
      if (pillOver(element.getBoundingClientRect())) found.push(`${nameOf(element)} has the focus under the pill`);
    }
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
    if (scroll) scroll.scrollTop = place;
    return { found, rings };
  };

  /** Rules of axe that are broken: "rule: sentence (where)". */
  const axe = async (rules) => {
    arrive();
    const options = { resultTypes: ["violations"], ...(rules && { runOnly: { type: "rule", values: rules } }) };
    const { violations } = await globalThis.axe.run(document, options);
    return violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help} (${node.target.join(" ")})`));
  };

  globalThis.look = { axe, contrast, targets, cut, focus };
})();
