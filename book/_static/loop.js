/* The loops of this book, to drag: <collapse-loop view="words">text without scripts</collapse-loop>. Arithmetic,
   which tests hold against the package; chance; drawing; panels; views; the element. */
(() => {
"use strict";
const { abs, ceil, exp, floor, log, log10, log1p, max, min, round, sqrt } = Math, { assign, entries, keys, values } = Object;

// Arithmetic. A plan is {n, alpha, gain, weight}, arrays over the generations 0..T.

const range = n => Array.from({ length: n }, (_, i) => i), sum = list => list.reduce((x, y) => x + y, 0);
const last = list => list[list.length - 1], clamp = (x, low, high) => min(high, max(low, x));
const rint = x => abs(x % 1) === 0.5 ? 2 * round(x / 2) : round(x);  // half to even, as numpy

// n_t = n t^growth or n ratio^t, alpha_t = share t^-decay; the schemes are those of collapse.plans.
function plan({ scheme = "mixture", n, share = 0, decay = 0, growth = 0, ratio = 1, T }) {
	const size = range(T + 1).map(t => max(1, rint(n * (ratio === 1 ? max(t, 1) ** growth : ratio ** t))));
	const alpha = size.map((_, t) => t === 0 ? 1 : scheme === "replace" ? 0 : min(1, share * t ** -decay));
	let total = 0;
	return { n: size, alpha, gain: size.map(x => scheme === "accumulate" ? x / (total += x) : 1) };
}

// rho_t: A2, with a gain C1, with labels C5, where the real part of the batch weighs weight_t.
function inflation({ n, alpha, gain, weight }) {
	let rho = 1 / n[0];
	return n.map((size, t) => {
		if (t === 0) return rho;
		const a = alpha[t], w = gain ? gain[t] : 1;
		if (!weight) return rho = min(1, ((1 - w * a) ** 2 - w * w * (1 - a) ** 2 / size) * rho + w * w / size);
		const real = round(a * size), fake = size - real, v = weight[t], noise = fake ? (1 - v) ** 2 / fake : 0;
		return rho = ((1 - w * v) ** 2 - w * w * noise) * rho + w * w * ((real ? v * v / real : 0) + noise);
	});
}

const plateau = (alpha, n) => 1 / (1 + (n - 1) * (alpha * (2 - alpha)));  // A4

function freshNeeded(rho, n) {  // B3: the share that rests at rho
	const b = clamp((1 - rho) / rho / max(n - 1, 1), 0, 1);
	return b / (1 + sqrt(1 - b));
}

function aware({ n, alpha }) {  // C4: the plan of a loop that knows its shares
	let rho = 1 / n[0];
	return { n, alpha, gain: n.map((size, t) => {
		if (t === 0) return 1;
		const a = alpha[t], v = (1 - rho + a * (2 - a) * rho) / size, w = a ? min(1, a * rho / (a * a * rho + v)) : 0;
		rho = (1 - w * a) ** 2 * rho + w * w * v;
		return w;
	}) };
}

// B1, B5, B7, C2, C3: the end of a loop with alpha_t = c t^-a and n_t = n t^b, n above 1.
function fate({ scheme = "mixture", share: c, decay: a = 0, growth: b = 0 }) {
	if (scheme === "accumulate") return c > 0 && a === 0 ? "recovery" : "plateau";
	if (scheme === "replace" || c === 0) return b > 1 ? "plateau" : "collapse";
	if (a <= 1 && b > a) return "recovery";
	return (a <= 1 && a === b) || (a > 1 && b > 1) ? "plateau" : "collapse";
}

function whole(parts, total) {  // whole numbers of this sum, in these proportions, none below 1
	const all = sum(parts), want = parts.map(x => x / all * (total - parts.length)), n = want.map(x => 1 + floor(x));
	const order = range(n.length).sort((i, j) => want[j] % 1 - want[i] % 1);
	for (let i = 0, left = total - sum(n); i < left; i++) n[order[i % n.length]]++;
	return n;
}

const spread = (total, alpha, T) => whole(range(T + 1).map(s => (1 - alpha) ** (T - s)), total);  // D1

function missing(p, { n, alpha }) {  // E3: the chance that a word of share p is gone, from the law of its count
	let law = [1], before = 1, made, step;
	return n.map((size, t) => {
		if (made !== (made = [before, size, alpha[t]].join())) step = law.map((_, x) => binomials(size, min(1, alpha[t] * p + (1 - alpha[t]) * x / before)));
		const next = new Array(size + 1).fill(0);
		law.forEach((chance, x) => chance && step[x].forEach((q, y) => { next[y] += chance * q; }));
		law = next;
		before = size;
		return law[0];
	});
}

const logFact = k => k < 16 ? sum(range(k).map(i => log(i + 1)))
	: (k + 0.5) * log(k) - k + log(2 * Math.PI) / 2 + 1 / 12 / k - 1 / 360 / k ** 3 + 1 / 1260 / k ** 5;

function binomials(n, p) {  // P(0), ..., P(n)
	const known = range(n + 1).map(logFact);
	return known.map((f, k) => exp(known[n] - f - known[n - k] + (k && k * log(p)) + (n - k && (n - k) * log1p(-p))));
}

// Chance, the same on every machine.

function chance(seed) {  // sfc32: uniform in (0, 1)
	let a = 0x9e3779b9, b = 0x243f6a88, c = 0xb7e15162 ^ seed, d = 1;
	const next = () => {
		const t = (a + b | 0) + d | 0;
		d = d + 1 | 0;
		a = b ^ b >>> 9;
		b = c + (c << 3) | 0;
		c = (c << 21 | c >>> 11) + t | 0;
		return ((t >>> 0) + 0.5) / 4294967296;
	};
	range(16).forEach(next);
	return next;
}

function binomial(n, p, u) {
	if (p > 0.5) return n - binomial(n, 1 - p, u);
	if (n * p <= 0) return 0;
	const odds = p / (1 - p);
	if (n * p < 10) {
		let k = 0, mass = exp(n * log1p(-p));
		for (let x = u(); x > mass && k < n; k++) { x -= mass; mass *= odds * (n - k) / (k + 1); }
		return k;
	}
	// Hormann (1993): transformed rejection
	const sd = sqrt(n * p * (1 - p)), b = 1.15 + 2.53 * sd, a = -0.0873 + 0.0248 * b + 0.01 * p, m = floor((n + 1) * p);
	const chances = k => k * log(odds) - logFact(k) - logFact(n - k), most = chances(m);
	for (;;) {
		const x = u() - 0.5, v = u(), room = 0.5 - abs(x), k = floor((2 * a / room + b) * x + n * p + 0.5);
		if (room >= 0.07 && v <= 0.92 - 4.2 / b) return k;
		if (k >= 0 && k <= n && log(v * (2.83 + 5.1 / b) * sd / (a / (room * room) + b)) <= chances(k) - most) return k;
	}
}

function multinomial(n, p, u) {
	let left = n, mass = 1;
	return p.map((x, i) => {
		const k = i === p.length - 1 ? left : binomial(left, clamp(x / mass, 0, 1), u);
		left -= k;
		mass = max(mass - x, 1e-15);
		return k;
	});
}

function simulate(p, { n, alpha, gain }, seed) {  // one run: the model of every generation
	const u = chance(seed);
	let model = p;
	return n.map((size, t) => {
		const counts = multinomial(size, p.map((x, k) => alpha[t] * x + (1 - alpha[t]) * model[k]), u);
		return model = counts.map((x, k) => (1 - gain[t]) * model[k] + gain[t] * x / size);
	});
}

function ancestors({ n, alpha, gain }, seed) {  // A6: a word is fresh, or a copy of one before
	const u = chance(seed), rows = [], keep = last(gain) < 1;
	const draw = () => {
		let t = rows.length - 1;
		if (keep) for (let x = u() * sum(rows.map(row => row.length)); t > 0 && (x -= rows[t].length) > 0;) t--;
		return rows[t][floor(u() * rows[t].length)];
	};
	n.forEach((size, t) => {
		const row = range(size).map(() => {
			const parent = u() < alpha[t] ? null : draw(), word = { t, parent, key: u() };
			if (parent) word.key = parent.place + word.key / 1e6;
			word.founder = parent ? parent.founder : word;
			return word;
		}).sort((x, y) => x.key - y.key);
		row.forEach((word, i) => { word.place = (i + 0.5) / size; });
		rows.push(row);
	});
	return { rows, pair: [draw(), draw()] };
}

// 48 words of the documentation of CPython 3.11, and how often they stand there, in tens.

const PAIRS = ("the 2281 a 1083 is 848 to 788 of 710 and 534 in 474 for 456 if 437 be 358 or 297 this 283 an 273 return 266 that 250 as 249 with 236 are 2"
	+ "27 it 215 by 206 object 189 not 185 from 170 class 168 file 165 name 158 string 149 value 142 will 140 list 137 on 127 can 121 function 12"
	+ "0 all 118 method 118 set 113 used 112 which 110 when 109 true 103 default 96 module 96 type 95 line 85 data 82 number 80 python 72 text 70").match(/\w+ \d+/g).map(pair => pair.split(" ")), WORDS = PAIRS.map(([word]) => word);
const TRUTH = PAIRS.map(([, count]) => count / sum(PAIRS.map(pair => +pair[1])));
const distance = model => sum(model.map((x, k) => (x - TRUTH[k]) ** 2)) / (1 - sum(TRUTH.map(x => x * x)));  // over h

// Drawing.

const set = (node, attributes) => { for (const key in attributes) node.setAttribute(key, attributes[key]); };
const build = make => (tag, attributes, ...kids) => {
	const node = make(tag);
	set(node, attributes);
	node.append(...kids);
	return node;
};
const h = build(tag => document.createElement(tag)), g = build(tag => document.createElementNS("http://www.w3.org/2000/svg", tag));
const num = x => x.toLocaleString("en-GB", { maximumFractionDigits: x < 99.95 ? 1 : 0 }), pct = x => `${+(100 * x).toPrecision(3)}%`;
const nearest = (list, x) => list.reduce((best, y, i) => abs(y - x) < abs(list[best] - x) ? i : best, 0);
const steps = (low, high, by) => range(round((high - low) / by) + 1).map(i => +(low + i * by).toFixed(6));
const label = (x, y, text, name = "", anchor = "start") => g("text", { class: name, x, y, "text-anchor": anchor }, text);

// A drawing: axes are [low, high, logarithmic, format]; lines are [points, class, label], points (x, y) or y alone.
function chart(plate, height, title, foot, x, y, lines, right = 116) {
	const w = plate.wide(), narrow = w < 480, left = 48, top = 26, bottom = height - 34, end = w - (narrow ? 12 : right), marks = [];
	const scale = ([low, high, logs], from, to) => {
		const f = logs ? log : v => v, a = f(low), b = f(high);
		return [v => from + (to - from) * (f(clamp(v, low, high)) - a) / (b - a),
			at => { const v = a + (b - a) * clamp((at - from) / (to - from), 0, 1); return logs ? exp(v) : v; }];
	};
	const ticks = ([low, high, logs]) => {
		if (logs) return range(13).map(i => 10 ** (i - 3)).filter(v => v >= low * 0.999 && v <= high);
		const size = 10 ** floor(log10((high - low) / 4.5)), by = size * [1, 2, 2.5, 5, 10].find(m => m * size >= (high - low) / 4.5);
		return range(12).map(i => (ceil(low / by) + i) * by).filter(v => v <= high * 1.0001);
	};
	const [X, backX] = scale(x, left, end), [Y, backY] = scale(y, bottom, top), at = ([a, b]) => `${X(a).toFixed(1)} ${Y(b).toFixed(1)}`;
	const pic = g("g", {}, label(2, 13, title, "title"), label((left + end) / 2, height - 3, foot, "tick", "middle"));
	for (const v of ticks(y)) pic.append(g("line", { class: "grid", x1: left, x2: end, y1: Y(v), y2: Y(v) }), label(left - 6, Y(v) + 4, (y[3] || num)(v), "tick", "end"));
	for (const v of ticks(x)) pic.append(label(X(v), bottom + 16, (x[3] || num)(v), "tick", "middle"));
	for (const [list, name, text] of lines) {
		const points = list.map((v, t) => Array.isArray(v) ? v : [t, v]);
		if (points.length) pic.append(g("path", { class: name, d: `M${points.map(at).join("L")}` }));
		if (text && points.length) marks.push([X(last(points)[0]) + 8, Y(last(points)[1]) + (narrow ? -6 : 4), text, name]);
	}
	marks.sort((p, q) => p[1] - q[1]).forEach((mark, i) => { mark[1] = max(mark[1], i ? marks[i - 1][1] + 15 : top); });
	range(marks.length).reverse().forEach(i => { marks[i][1] = min(marks[i][1], bottom + 2 - 15 * (marks.length - 1 - i)); });
	for (const [a, b, text, name] of marks) {
		const inside = narrow && a > 200;
		pic.append(label(inside ? a - 8 : a, b, text, `label ${name}`, inside ? "end" : "start"));
	}
	plate.show(height, pic);
	return {
		X, Y, backX, backY, bottom, pic,
		dot: (a, b, name = "run", r = 6) => pic.append(g("circle", { class: name, cx: X(a), cy: Y(b), r })),
		write: (a, b, text, name = "label", right = 0, up = 0, anchor = "middle") => pic.append(label(X(a) + right, Y(b) - up, text, name, anchor)),
	};
}

// A panel: the state, kept in the address, and the parts of views.

const SIZES = range(6).flatMap(i => [10, 15, 20, 30, 50, 70].map(x => x * 10 ** i)).filter(x => x <= 1e5);
const SHARES = [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.07, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1];
const within = (low, high, whole) => text => { const x = +text; return text.trim() && x >= low && x <= high ? whole ? round(x) : x : undefined; };

function panel(element, view) {
	const state = {}, known = {}, shows = [], plates = [], out = h("output"), root = h("div", { class: "panel" });
	let timer, later, waits, draw;
	const refresh = () => { draw(); shows.forEach(show => show()); };
	const changed = () => {
		waits = false;
		refresh();
		clearTimeout(later);
		later = setTimeout(() => { try { history.replaceState(history.state, "", `#${new URLSearchParams({ loop: view, ...state })}`); } catch { /* no address */ } }, 300);
	};
	const s = new Proxy(state, { set(_, key, value) {  // what sets the state draws it, once
		state[key] = value;
		if (!waits) queueMicrotask(changed);
		return waits = true;
	} });
	const read = () => {  // what makes no sense is left alone
		const asked = new URLSearchParams(location.hash.slice(1));
		if (asked.get("loop") !== view) return;
		for (const key in known) if (asked.has(key)) state[key] = known[key](asked.get(key)) ?? state[key];
		element.scrollIntoView({ block: "center" });
	};
	const keep = (key, value, valid) => { state[key] = value; known[key] = valid; };
	const button = (text, onclick, name = "") => assign(h("button", { type: "button", class: name }, text), { onclick });
	const settings = more => ({ scheme: s.share ? "mixture" : "replace", T: p.T, ...s, ...more });

	function slider(key, text, list, value, format = num) {
		keep(key, value, within(list[0], last(list), list.every(Number.isInteger)));
		const shown = h("b"), input = h("input", { type: "range", min: 0, max: list.length - 1 });
		input.oninput = () => { s[key] = list[input.value]; };
		shows.push(() => {
			input.value = nearest(list, s[key]);
			shown.textContent = format(s[key]);
			set(input, { "aria-valuetext": shown.textContent });
		});
		return h("label", {}, `${text} `, shown, input);
	}

	function field(key, text, value, valid, input) {
		keep(key, value, valid);
		input.oninput = () => {
			const x = valid(input.value);
			set(input, { "aria-invalid": x === undefined });
			if (x !== undefined) s[key] = x;
		};
		shows.push(() => { if (!input.matches(":focus")) input.value = s[key]; });
		return h("label", {}, text, input);
	}

	function toggle(key, no, yes, onclick = () => {}) {
		keep(key, 0, within(0, 1, true));
		const one = button("", () => { s[key] = 1 - s[key]; onclick(); }, "main");
		shows.push(() => { one.textContent = s[key] ? yes : no; });
		return one;
	}

	function again(text = "Run again") {  // with the next seed
		keep("run", 1, within(1, 1e6, true));
		return button(text, () => s.run++);
	}

	function call(text = () => called(settings())) {  // of the package, to copy
		const code = h("code"), copy = button("Copy", async () => {
			try { await navigator.clipboard.writeText(code.textContent); } catch { getSelection().selectAllChildren(code); document.execCommand("copy"); }
			copy.textContent = "Copied";
		});
		shows.push(() => { code.textContent = text(); copy.textContent = "Copy"; });
		return h("div", { class: "bar note" }, "In Python", code, copy);
	}

	function plate(move, keys) {  // a drawing as wide as its place, moved by a pointer and, if keys is given, by arrows
		const pic = g("svg", { role: keys ? "slider" : "img" });
		plates.push(pic);
		const go = (event, first) => { const box = pic.getBoundingClientRect(); move(event.clientX - box.left, event.clientY - box.top, first); };
		if (move) pic.onpointerdown = event => {
			event.preventDefault();
			pic.setPointerCapture(event.pointerId);
			pic.focus({ preventScroll: true });
			pic.onpointermove = next => go(next, false);
			go(event, true);
		};
		pic.onpointerup = pic.onpointercancel = () => { pic.onpointermove = null; };
		if (keys) pic.tabIndex = 0;
		if (keys) pic.onkeydown = event => {
			const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
			if (step) { event.preventDefault(); keys(...step); }
		};
		return assign(pic, {
			wide: () => floor(pic.getBoundingClientRect().width) || 600,
			show(height, node) {
				set(pic, { viewBox: `0 0 ${pic.wide()} ${height}`, height });
				pic.replaceChildren(node);
			},
			means: (label, max, now, text) => set(pic, { "aria-label": label, "aria-valuemin": 0, "aria-valuemax": max, "aria-valuenow": now, "aria-valuetext": text }),
		});
	}

	const run = on => {  // of all sentences the last is read aloud
		clearInterval(timer);
		timer = on && setInterval(() => { if (++s.t >= p.T || !element.isConnected) run(false); }, 60);
		play.textContent = on ? "Pause" : "Play";
		set(out, { "aria-live": on ? "off" : "polite" });
	};
	const play = button("Play", () => {
		const moves = !timer && !matchMedia("(prefers-reduced-motion: reduce)").matches;
		if (!timer) s.t = moves ? s.t % p.T : p.T;
		run(moves);
	});
	const p = {
		s, out, keep, button, settings, slider, toggle, again, call, plate, play, shows, T: 60,
		add: (...kids) => root.append(...kids),
		bar: (...kids) => h("div", { class: "bar" }, ...kids),
		controls: (...kids) => h("div", { class: "controls" }, ...kids),
		entry: (key, text, low, high, value, whole) => field(key, text, value, within(low, high, whole), h("input", { type: "number", min: low, max: high, step: "any" })),
		choice: (key, text, options) => field(key, text, keys(options)[0], x => x in options ? x : undefined, h("select", {}, ...entries(options).map(([value, text]) => h("option", { value }, text)))),
		share: (value, list = SHARES) => slider("share", "Fresh share", list, value, pct),
		size: (value, list = SIZES) => slider("n", "Words a generation", list, value),
		clock: (start = 0) => slider("t", "Generation", range(p.T + 1), start),
		made: () => plan(settings()),
		one: (more = 0) => simulate(TRUTH, p.made(), s.run * 7919 + more),
		say(text) {
			if (out.textContent !== text) out.textContent = text;
			for (const plate of plates) if (!plate.onkeydown) set(plate, { "aria-label": `${plate.querySelector("text")?.textContent}. ${text}` });
		},
	};
	draw = VIEWS[view](p, view === "odds");
	read();
	run(false);
	addEventListener("hashchange", () => { read(); refresh(); });
	new ResizeObserver(refresh).observe(root);
	return [root, refresh];
}

function called({ scheme, n, share, decay = 0, growth = 0, ratio = 1, T }) {
	const size = ratio !== 1 ? `collapse.geometric(${n}, ${ratio})` : growth ? `collapse.power(${n}, ${growth})` : n;
	const fresh = decay && share ? `collapse.power(${share}, ${-decay})` : share;
	if (scheme === "replace") return `collapse.replace(${size}, ${T})`;
	return scheme === "accumulate" ? `collapse.accumulate(${size}, ${T}${share ? `, alpha=${fresh}` : ""})` : `collapse.mixture(${size}, ${fresh}, ${T})`;
}

function wordList(p, onclick) {
	const cells = WORDS.map((word, k) => h("div", {}, onclick ? p.button(word, () => onclick(k)) : h("span", {}, word)));
	const list = h("div", { class: "words", role: onclick ? "group" : "img" }, ...cells);
	const show = (run, t) => {
		const lost = [], back = [];
		cells.forEach((cell, k) => {
			const x = run[t][k], was = x && run.slice(0, t).some(model => !model[k]);
			cell.className = x ? was ? "back" : "" : "lost";
			cell.firstChild.style.fontSize = `${min(x ? 9.5 + 34 * sqrt(x) : 11, 130 / WORDS[k].length, 32)}px`;
			if (!x) lost.push(WORDS[k]); else if (was) back.push(WORDS[k]);
		});
		set(list, { "aria-label": `Lost: ${lost.join(", ") || "none"}. Lost once and back: ${back.join(", ") || "none"}.` });
		return `${lost.length} of 48 words${back.length ? `, and ${back.length} came back` : ""}`;
	};
	return { list, show, cells };
}

// The ancestors of a small loop, and pairs of words, each from a new run.
function tree(p, settings) {
	const plate = p.plate(), tally = { pair: [] };
	const pick = times => {
		const small = plan(settings());
		for (let i = 0; i < times; i++) {
			assign(tally, ancestors(small, ++tally.seed * 7919 + p.s.run));
			tally.hits += tally.pair[0].founder === tally.pair[1].founder;
			tally.path.push([++tally.tries, tally.hits / tally.tries]);
		}
		p.s.run += 0;
	};
	const draw = () => {
		const small = plan(settings()), key = JSON.stringify([small, p.s.run]);
		if (key !== tally.key) assign(tally, { key, seed: 0, hits: 0, tries: 0, path: [] }, ancestors(small, p.s.run), { pair: [] });
		const { rows, pair } = tally, colours = new Map(), lit = new Set(), w = plate.wide(), pic = g("g");
		const ends = last(rows).map(word => word.founder), families = new Set(ends);
		for (const x of families) if (ends.filter(y => x === y).length > 1) colours.set(x, `f${colours.size % 6}`);
		for (let word of pair) for (; word; word = word.parent) lit.add(word);
		const X = word => 16 + (w - 32) * word.place, Y = t => 34 + 29 * t, name = (word, kind) => `${kind} ${colours.get(word.founder) || "f"}${lit.has(word) ? " lit" : ""}`;
		const words = rows.flat();
		for (const word of words) if (word.parent) pic.append(g("line", { class: name(word, "branch"), x1: X(word), y1: Y(word.t), x2: X(word.parent), y2: Y(word.parent.t) }));
		for (const word of words) {
			const r = pair.includes(word) ? 8 : 5.5;
			pic.append(g("rect", { class: name(word, "node"), x: X(word) - r, y: Y(word.t) - r, width: 2 * r, height: 2 * r, rx: word.parent ? r : 0 }));
		}
		pic.append(label(2, 13, `generation 0: ${small.n[0]} real words`, "title"), label(2, Y(rows.length - 1) + 26, `generation ${rows.length - 1}`, "title"));
		plate.show(Y(rows.length), pic);
		const rho = last(inflation(small)), [a, b] = pair, { tries, hits, path } = tally;
		return [rho, path, tries ? `The last two: ${a.founder !== b.founder ? "two families" : a === b ? "one word twice, so one family" : "one family"}. Of ${num(tries)} pairs, each from a new run, ${num(hits)} were one family: ${pct(hits / tries)}. The recursion says ${pct(rho)}.`
			: `Squares are fresh words, circles copies, colours families: ${families.size} at the end. Pick two of its words: one family?`];
	};
	return { draw, nodes: [plate, p.bar(p.button("Pick two", () => pick(1), "main"), p.button("500 times", () => pick(500)))] };
}

// Views: each adds its parts to the panel p and returns what draws them.

const PRESETS = { "No fresh words": ["replace", 0, 0], "One in ten is fresh": ["mixture", 0.1, 0], "One in ten, and samples grow": ["mixture", 0.1, 1] };
const ENDS = { collapse: "collapses", plateau: "levels off", recovery: "recovers the truth" };
const worths = made => inflation(made).map(x => 1 / x);

const VIEWS = {};
VIEWS.full = p => {
	const T = p.T = 100, { s } = p, power = x => x ? `t^${x}` : "not at all";
	let knot = 1, drawn;
	p.keep("guess", "", text => /^(\d+(\.\d+)?( |$)){11}$/.test(text) ? text : "");
	const guess = () => s.guess && s.guess.split(" ").map(Number);
	const put = (i, v) => {
		const now = guess() || Array(11).fill(s.n);
		now[i] = +clamp(v, 1, 1e9).toPrecision(3);
		s.guess = now.join(" ");
	};
	const main = p.plate((x, y, first) => {
		if (s.seen) return s.t = round(drawn.backX(x));
		const now = max(1, round(drawn.backX(x) / 10));
		for (let i = first ? now : knot; i !== now; i += i < now ? 1 : -1) put(i, drawn.backY(y));
		put(knot = now, drawn.backY(y));
	}, (right, up) => {
		if (s.seen) return s.t = clamp(s.t + right + up, 0, T);
		knot = clamp(knot + right, 1, 10);
		put(knot, (guess() || [])[knot] * 10 ** (up / 10) || s.n);
	});
	const presets = entries(PRESETS).map(([name, [scheme, share, growth]]) => {
		const all = { scheme, share, growth, decay: 0, n: 200 }, one = p.button(name, () => assign(s, all));
		p.shows.push(() => set(one, { "aria-pressed": keys(all).every(key => s[key] === all[key]) }));
		return one;
	});
	const reveal = p.toggle("seen", "Show what happens", "Guess again", () => {
		s.t = 0;
		if (s.seen) p.play.click(); else s.guess = "";
	});
	const words = wordList(p), kin = tree(p, () => p.settings({ n: 12, growth: 0, T: 7 })), said = h("p", { role: "status" }), note = (...kids) => h("p", { class: "note" }, ...kids);
	p.add(p.bar(...presets), main, p.bar(reveal, p.play, p.again()), p.out, p.controls(p.share(0.1), p.size(200), p.clock(),
		p.slider("decay", "Fresh share falls like", steps(0, 1.5, 0.1), 0, x => power(-x)), p.slider("growth", "Samples grow like", steps(0, 1.5, 0.1), 0, power),
		p.choice("scheme", "What it learns from", { mixture: "a mixture", replace: "no fresh data", accumulate: "all data so far" })), p.call(),
	h("b", {}, "What this run still knows"), words.list, note("Large: said often. ", h("del", {}, "Struck out"), ": lost. ", h("u", {}, "Underlined"), ": lost once, and back."),
	h("b", {}, "Where its words come from"), note("The same loop with 12 words a generation."), ...kin.nodes, said);
	return () => {
		const made = p.made(), worth = worths(made), run = p.one(), mine = guess(), { seen, t, n } = s, known = words.show(run, t);
		drawn = chart(main, 250, "worth how many real samples?", "generation", [0, T], [0.8, max(n * 20, ...(seen ? worth : []), ...(mine || [])) * 1.2, true], [
			[mine ? mine.map((v, i) => [10 * i, i ? v : n]) : [], "mine", "your guess"],
			[run.slice(0, t + 1).map((model, i) => [i, 1 / distance(model)]), "run secret", t > 5 && seen && "one run"], [worth, "theory secret", seen && "exact"]]);
		main.classList.toggle("free", !seen);
		if (seen || !mine) drawn.dot(seen ? t : 0, seen ? worth[t] : n); else drawn.dot(10 * knot, mine[knot], "mine");
		if (!seen && !mine) drawn.write(50, n, "draw your guess from the dot to the right", "mine", 0, 20);
		if (seen) main.means("Generation", T, t, `${t}: worth ${num(worth[t])} real samples`);
		else main.means("Your guess: left and right choose a generation, up and down a worth", T, 10 * knot, `generation ${10 * knot}: ${mine ? num(mine[knot]) : "not yet"}`);
		p.say(seen ? `Generation ${t} read ${num(made.n[t])} words and is worth ${num(worth[t])} real ones${mine && t === T ? `; your guess was ${num(mine[10])}` : ""}. This run has lost ${known}. In the long run the loop ${ENDS[fate(s)]}.`
			: `Generation 0 read ${num(n)} real words. What will the hundredth be worth?`);
		said.textContent = kin.draw()[2];
	};
};

VIEWS.pairs = p => {
	p.T = 7;
	const kin = tree(p, p.settings), plate = p.plate();
	p.add(...kin.nodes, p.out, plate, p.controls(p.share(0.1, SHARES.filter(x => !x || x >= 0.05)), p.size(12, steps(4, 16, 1)), p.again("Another tree")), p.call());
	return () => {
		const [rho, path, text] = kin.draw(), most = max(1000, path.length);
		chart(plate, 170, "pairs in one family", "pairs picked", [1, most, true], [0, 1, false, pct], [[[[1, rho], [most, rho]], "theory", `exact: ${pct(rho)}`], [path, "run", "your pairs"]]);
		p.say(text);
	};
};

VIEWS.plateau = p => {
	const { s } = p, parts = [0.01, 0.02, 0.05, ...steps(0.1, 1, 0.05)], wanted = x => max(1, x * s.n);
	let drawn;
	const plate = p.plate((x, y) => { s.target = parts[nearest(parts, drawn.backY(y) / s.n)]; });
	p.add(plate, p.out, p.controls(p.slider("target", "Wanted worth", parts, 0.5, x => num(wanted(x))), p.size(1000, SIZES.slice(6))), p.call(() => `collapse.design.fresh_needed(1 / ${+wanted(s.target).toFixed(6)}, ${s.n})`));
	return () => {
		const { n } = s, goal = wanted(s.target), a = freshNeeded(1 / goal, n), low = min(0.001, a / 2), right = a > 0.1;
		drawn = chart(plate, 240, "worth at rest, in real samples", "fresh share", [low, 1, true, pct], [1, n * 1.3, true], [
			[[[low, n], [1, n]], "level", "all real"], [[[low, goal], [a, goal], [a, 1]], "run"], [range(101).map(i => low ** (i / 100)).map(x => [x, 1 / plateau(x, n)]), "theory"]]);
		drawn.dot(a, goal);
		drawn.write(a, goal, `${pct(a)} fresh`, "label run", right ? -10 : 10, right ? 9 : -18, right ? "end" : "start");
		p.say(`To rest at the worth of ${num(goal)} real samples, ${pct(a)} of each generation’s ${num(n)} must be fresh: ${num(a * n)} samples.`);
	};
};

VIEWS.phase = p => {
	const T = p.T = 1000, { s } = p, grid = steps(0, 2, 0.05), all = () => p.settings({ scheme: "mixture", n: 20, share: 0.5 });
	let drawn;
	const on = x => grid[nearest(grid, x)], map = p.plate((x, y) => { s.decay = on(drawn.backX(x)); s.growth = on(drawn.backY(y)); }), plate = p.plate();
	p.add(h("div", { class: "controls" }, map, plate), p.out, p.controls(p.slider("decay", "Fresh share falls like t^-a: a =", grid, 0.5, String), p.slider("growth", "Samples grow like t^b: b =", grid, 0.8, String)), p.call(() => called(all())));
	return () => {
		const made = plan(all()), later = list => list.map((x, t) => [t, x]).slice(1), worth = later(worths(made)), real = later(made.n.map((n, t) => n * made.alpha[t])), top = max(100, ...[...worth, ...real].map(x => x[1])) * 1.5;
		drawn = chart(map, 260, "b: how fast samples grow", "a: how fast the fresh share falls", [0, 2], [0, 2], [[[[0, 0], [1, 1]], "theory"]], 12);
		const corners = { mine: "0 0 0 2 1 2 1 1", run: "0 0 2 0 2 1 1 1", f3: "1 1 1 2 2 2 2 1" };
		for (const name in corners) drawn.pic.prepend(g("polygon", { class: name, points: corners[name].split(" ").map((v, i) => i % 2 ? drawn.Y(+v) : drawn.X(+v)) }));
		for (const [a, b, text] of [[0.4, 1.4, "recovery"], [1.3, 0.5, "collapse"], [1.5, 1.5, "levels off"], [0.6, 0.6, "plateau"]]) drawn.write(a, b, text);
		drawn.dot(s.decay, s.growth);
		chart(plate, 260, "worth, in real samples", "generation", [1, T, true], [0.5, top, true], [[real, "level", "fresh ones"], [worth, "theory", "exact"]], 90);
		p.say(`In the long run it ${ENDS[fate(all())]}${s.decay > 1 && s.growth > 1 ? ", where depends on its start" : ""}. Generation 1,000 reads ${num(last(real)[1])} fresh samples among ${num(made.n[T])} and is worth ${num(last(worth)[1])}.`);
	};
};

VIEWS.practice = p => {
	const { s } = p, plate = p.plate(), verdict = h("strong"), tidy = x => +x.toPrecision(12);
	const settings = () => ({ ...s, scheme: s.old || (s.percent ? "mixture" : "replace"), share: tidy(s.percent / 100), ratio: tidy(1 + s.grow / 100) });
	p.add(p.controls(p.entry("n", "Samples in a round", 2, 1e6, 10000, true), p.entry("percent", "Fresh real data, in %", 0, 100, 5), p.entry("grow", "Each round grows by, in %", 0, 10, 0), p.entry("T", "Rounds", 1, 200, 100, true),
		p.choice("old", "Old data are", { "": "thrown away", accumulate: "kept" })), verdict, p.out, plate, p.call(() => called(settings())));
	return () => {
		const all = settings(), worth = worths(plan(all)), lasts = s.old || s.grow, { n, T } = s, top = max(...worth) * 2, low = max(0.8, min(...worth) / 3);
		verdict.textContent = `It ${s.percent ? lasts ? "recovers the truth" : "levels off" : lasts ? "levels off" : "collapses"}.`;
		p.say(`After ${num(T)} ${T > 1 ? "rounds" : "round"} it is worth ${num(last(worth))} real samples; it began with ${num(n)}. ${
			s.percent ? s.grow ? "The error goes to zero." : s.old ? "Slowly: old errors fade as the pile grows." : `It rests at ${num(1 / plateau(all.share, n))}; to go beyond, let rounds grow or keep old data.`
				: lasts ? "The decay ends; nothing repairs what is lost: add fresh data." : "Nothing corrects the errors: add a fixed share of fresh data, or keep old data."}`);
		chart(plate, 190, "worth, in real samples", "round", [0, T], [low, top, true], [[[[0, n], [T, n]], "level", "the start"], [worth, "theory", "exact"]]);
	};
};

VIEWS.strategies = p => {
	const { s } = p, NAMES = { n: "knows nothing", c: "knows how many are fresh", f: "labels: this batch’s fresh ones", b: "labels: the best weight", s: "knows the share", a: "labels: all fresh ones so far" };
	p.T = 100;
	p.keep("order", "cfbasn", text => [...text].sort().join("") === "abcfns" ? text : "cfbasn");
	const list = h("ol"), rows = {};
	for (const x in NAMES) {
		const bar = h("i"), worth = h("b"), up = p.button("↑", () => {
			s.order = s.order.replace(RegExp(`(.)${x}`), `${x}$1`);
			queueMicrotask(() => up.focus());
		});
		set(up, { "aria-label": `${NAMES[x]}: up` });
		rows[x] = { bar, shown: worth, row: h("li", {}, NAMES[x], up, bar, worth) };
	}
	p.add(list, p.bar(p.toggle("seen", "Show what each is worth", "Hide the answer")), p.out, p.controls(p.share(0.1, SHARES.filter(x => x >= 0.05 && x < 1)), p.size(1000, [100, 200, 500, 1000, 2000, 5000])));
	return () => {
		const base = p.made(), a = s.share, real = base.n.map((n, t) => n * base.alpha[t]), { order } = s;
		const end = more => last(worths({ ...base, ...more })), labels = v => ({ weight: base.n.map((_, t) => t ? v : 1) });
		const worth = { n: end(), c: end(labels(a)), f: end(labels(1)), b: end(labels(2 / (1 + sqrt(4 / a - 3)))), s: end(aware(base)), a: end({ ...labels(1), gain: real.map((x, t) => x / sum(real.slice(0, t + 1))) }) };
		const right = sum([...order].map((x, i) => [...order.slice(i)].filter(y => worth[x] <= worth[y] * 1.001).length - 1));
		for (const x of order) {
			const { bar, shown, row } = rows[x];
			bar.style.width = s.seen ? `${100 * worth[x] / max(...values(worth))}%` : 0;
			shown.textContent = s.seen ? num(worth[x]) : "";
			list.append(row);
		}
		p.say(s.seen ? `${right} of 15 pairs are in order. At generation 100 knowing nothing is worth ${num(worth.n)} real samples, the share ${num(worth.s)}, all labels for ever ${num(worth.a)}.`
			: "Six loops read the same data and differ in what they know. Order them, the worst on top, then look.");
	};
};

VIEWS.budget = p => {
	const N = 10000, G = 20, { s } = p, equal = Array(G).fill(N / G).join(" "), late = `${"10 ".repeat(G - 1)}${N - 10 * (G - 1)}`, list = text => text.split(" ").map(Number);
	let bar = G - 1, drawn;
	p.keep("sizes", equal, text => list(text).length === G && sum(list(text)) === N && list(text).every(x => x > 0 && x % 1 === 0) ? text : equal);
	const choose = x => { bar = clamp(round(x), 0, G - 1); }, put = v => {  // the others keep their proportions
		const x = round(clamp(v, 1, N - 2 * G)), rest = whole(list(s.sizes).filter((_, i) => i !== bar), N - x);
		rest.splice(bar, 0, x);
		s.sizes = rest.join(" ");
	};
	const plate = p.plate((x, y, first) => { if (first) choose(drawn.backX(x)); put(drawn.backY(y)); }, (right, up) => { choose(bar + right); put(list(s.sizes)[bar] * 1.15 ** up + up); });
	p.add(plate, p.bar(p.button("Equal", () => { s.sizes = equal; }), p.button("All at the end", () => { s.sizes = late; }), p.toggle("best", "Show the best", "Hide the best")), p.out,
		p.controls(p.share(0.2, SHARES.slice(0, -1))), p.call(() => `collapse.design.allocate(${N}, ${s.share}, ${G - 1})`));
	return () => {
		const n = list(s.sizes), best = spread(N, s.share, G - 1), worth = n => num(last(worths({ n, alpha: n.map((_, t) => t ? s.share : 1) })));
		drawn = chart(plate, 220, "samples: 10,000 in all", "generation", [-0.6, G - 0.4], [0, max(2500, ...n, ...(s.best ? best : []))], [], 12);
		const columns = (name, sizes) => sizes.forEach((v, i) => drawn.pic.append(g("rect", { class: i === bar ? `${name} lit` : name, x: drawn.X(i - 0.38), width: drawn.X(0.76) - drawn.X(0), y: drawn.Y(v), height: drawn.bottom - drawn.Y(v) })));
		columns("column", n);
		if (s.best) columns("outline", best);
		plate.classList.add("free");
		plate.means("Samples of a generation: left and right choose it, up and down change it", N, n[bar], `generation ${bar}: ${num(n[bar])}`);
		p.say(`Generation ${bar} has ${num(n[bar])} samples. The last model is worth ${worth(n)} real ones${s.best ? `; with the best spread (dashed) ${worth(best)}` : ""}.`);
	};
};

VIEWS.runs = p => {
	const { s, T } = p, plate = p.plate(), top = list => sum(list.slice(0, 10)), head = top(TRUTH);
	p.add(plate, p.bar(p.play, p.again("Ten other runs")), p.out, p.controls(p.clock(T), p.size(1000), p.share(0.1)), p.call());
	return () => {
		const { t } = s, wide = inflation(p.made()).map(x => 1.96 * sqrt(x * head * (1 - head))), ten = range(10).map(i => p.one(i * 104729).map(top)), mean = wide.map((_, i) => sum(ten.map(one => one[i])) / 10);
		const far = max(...wide, ...ten.flat().map(x => abs(x - head))) * 1.1, out = ten.filter(one => abs(one[t] - head) > wide[t]).length, line = (list, ...look) => [list.slice(0, t + 1), ...look];
		chart(plate, 260, "share of the ten commonest words", "generation", [0, T], [max(0, head - far), min(1, head + far), false, pct], [...ten.map(one => line(one, "thin")),
			[wide.map(x => head + x), "level", "about 95%"], [wide.map(x => head - x), "level"], line(mean, "run", t > 5 && "mean of ten"), [wide.map(() => head), "theory", "exact mean"]]);
		p.say(`At generation ${t} the mean of the ten runs is ${pct(mean[t])}; the exact mean is the truth, ${pct(head)}. ${out} of 10 ${out === 1 ? "is" : "are"} outside the dotted lines.`);
	};
};

// A run's words; for odds, the chance to know the one chosen.
VIEWS.words = VIEWS.odds = (p, odds) => {
	const { s, T } = p, plate = p.plate(), seen = {}, words = wordList(p, odds && (k => { s.word = k; }));
	if (odds) p.keep("word", 20, within(0, 47, true));
	p.add(words.list, ...(odds ? [plate] : []), p.bar(p.play, p.again()), p.out, p.controls(p.clock(), p.size(100, SIZES.slice(2, odds ? 10 : 18)), p.share(0)), p.call());
	return () => {
		const { t } = s, run = p.one(), model = run[t], k = odds ? s.word : model.indexOf(max(...model)), word = `“${WORDS[k]}”`, lost = words.show(run, t);
		if (!odds) return p.say(`Generation ${t} has lost ${lost}. Its commonest is ${word}, ${pct(model[k])} of its text, in truth ${pct(TRUTH[k])}.`);
		const chances = seen[[k, s.n, s.share]] ||= missing(TRUTH[k], p.made()).map(x => 1 - x);
		words.cells.forEach((cell, i) => set(cell.firstChild, { "aria-pressed": i === k }));
		chart(plate, 190, `chance that ${word} is still known`, "generation", [0, T], [0, 1, false, pct], [[chances, "theory", "exact"], [run.slice(0, t + 1).map(x => +(x[k] > 0)), "run", t > 5 && "this run"]]).dot(t, chances[t]);
		p.say(`${word} is ${pct(TRUTH[k])} of the real text. Generation ${t} knows it with a chance of ${pct(chances[t])}; this run ${model[k] ? "does" : "does not"}.`);
	};
};

const CSS = `
:host{display:block;margin:1.2rem 0;--ink:var(--pst-color-text-base,#000);--soft:var(--pst-color-text-muted,#555);--paper:var(--pst-color-background,#fff);--blue:light-dark(#0072b2,#62b5ea);--run:light-dark(#d55e00,#f58a3c);--said:light-dark(#b34700,#f79a55)}
.panel{border-block:1px solid var(--soft);color:var(--ink);font-size:.9rem;line-height:1.4;padding:.7rem 0}
svg{display:block;font-size:12.5px;overflow:visible;touch-action:pan-y;width:100%} .free{cursor:crosshair;touch-action:none}
text,circle,polygon,.node{fill:currentColor;stroke:none;user-select:none} path,line{fill:none;stroke:currentColor;stroke-width:1.7} .tick,.level,.grid,.f{color:var(--soft)} .title,.label{font-weight:600}
.label{paint-order:stroke;stroke:var(--paper);stroke-width:4px} .run,.thin,.f1{color:var(--run)} .label.run{color:var(--said)} .mine,.f0,.column{color:var(--blue)} path.mine{stroke-width:3}
.theory{stroke-dasharray:6 4} text.theory{stroke-dasharray:none} path.level{stroke-dasharray:1.5 3} .thin{opacity:.4;stroke-width:.9} .grid{opacity:.25;stroke-width:1} .free .secret{visibility:hidden} polygon{opacity:.2}
.column{fill:var(--blue);opacity:.6} .outline{fill:none;stroke:var(--ink);stroke-dasharray:4 3} .branch{stroke-width:1.3} .f{opacity:.55} .lit{opacity:1} .branch.lit{stroke-width:3.5} .node.lit{stroke:var(--ink);stroke-width:1.6}
.f2{color:#009e73} .f3{color:#cc79a7} .f4{color:#e69f00} .f5{color:#56b4e9}
.bar{align-items:center;display:flex;flex-wrap:wrap;gap:.4rem;margin:.5rem 0} button,[type=number],select{background:none;border:1px solid var(--soft);border-radius:4px;color:inherit;font:inherit;min-height:2.1rem;padding:.2rem .7rem}
button:hover,[aria-pressed=true]{border-color:var(--blue);box-shadow:inset 0 0 0 1px var(--blue)} .main{background:var(--ink);color:var(--paper)}
.controls{display:grid;gap:.5rem 1.4rem;grid-template-columns:repeat(auto-fit,minmax(min(100%,12.5rem),1fr));margin:.6rem 0}
input{accent-color:var(--blue);height:1.9rem;margin:0;width:100%} [type=number],select{background:var(--paper);display:block;width:9rem} [aria-invalid=true]{border:2px solid var(--run)}
output{display:block;font-size:.95rem;margin:.5rem 0;min-height:2.8em} strong{font-size:1.2rem} p{margin:.4rem 0} .note{color:var(--soft);font-size:.82rem}
ul,ol{list-style:none;margin:.3rem 0;padding:0} .words{display:grid;grid-template-columns:repeat(auto-fill,minmax(4.7rem,1fr))} .words>div{align-items:center;display:flex;height:1.95rem;justify-content:center;line-height:1} .words button{border:0;padding:0 .2rem}
.lost>*{color:var(--soft);text-decoration:line-through} .back>*,u{text-decoration:underline 2px var(--blue)}
ol li{align-items:center;border:1px solid var(--soft);border-radius:4px;display:grid;gap:.2rem .5rem;grid-template-columns:1fr auto;margin:.3rem 0;padding:.2rem .5rem} i{background:var(--blue);height:.6rem} ol b{text-align:right}
code{background:var(--pst-color-surface,#8882);color:var(--ink);overflow-wrap:anywhere;padding:.2rem .4rem}
@media print{:host{color-scheme:light;--ink:#000;--soft:#444;--paper:#fff} .bar,.controls{display:none} .free .secret{visibility:visible}}
`;

class CollapseLoop extends HTMLElement {
	connectedCallback() {
		const view = this.getAttribute("view") || "full";
		if (this.shadowRoot || !(view in VIEWS)) return;
		const [root, refresh] = panel(this, view);
		this.attachShadow({ mode: "open" }).append(h("style", {}, CSS), root);
		refresh();
	}
}
assign(CollapseLoop, { plan, inflation, plateau, freshNeeded, aware, fate, spread, missing, chance, binomial, simulate, ancestors, called, distance, WORDS, TRUTH, VIEWS: keys(VIEWS) });
customElements.define("collapse-loop", CollapseLoop);
})();
