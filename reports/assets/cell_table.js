// The table of all cells: filtered, sorted, in pages, and saved as CSV. Reads CELLS (cells.js), draws only the rows of one page.
//
// Failures are never hidden silently: how many of them the filters leave out always stands above the table. The filters stand in the
// address (#status=error&sort=-rmsd_pm), so that a view can be passed on.
"use strict";
(() => {
  const box = document.getElementById("cell-table");
  const { columns, rows } = window.CELLS;
  const place = new Map(columns.map((column, i) => [column.key, i]));
  const named = new Map(columns.filter((column) => column.texts).map((column) => [column.key, new Map(column.texts)]));
  const at = { status: place.get("status"), page: place.get("page"), reason: place.get("reason") };
  const failed = (row) => row[at.status] !== "ok";
  const PAGE_SIZES = [25, 50, 100, 500];
  const state = { text: "", chosen: {}, ranges: {}, sort: null, down: false, page: 0, size: PAGE_SIZES[0], columns: new Set(columns.filter((c) => c.shown).map((c) => c.key)) };
  const texts = rows.map((row) => columns.map((column, i) => (column.kind === "number" && !column.texts ? "" : shown(column, row[i]))).join("\n").toLowerCase());
  let found = [];

  // ---- values -----------------------------------------------------------------------------------------------------------

  function shown(column, value) {
    if (value === null || value === undefined) return "";
    if (column.texts) return named.get(column.key).get(value) ?? String(value);
    return column.kind === "number" ? number(value) : String(value);
  }

  function number(value) {
    if (value === Infinity) return "∞";
    if (value === -Infinity) return "−∞";
    if (Number.isInteger(value) && Math.abs(value) < 1e5) return String(value).replace("-", "−");
    if (Math.abs(value) >= 1e5 || Math.abs(value) < 1e-3) {
      const [mantissa, exponent] = value.toExponential(2).split("e");
      const raised = [...String(Number(exponent))].map((c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]).join("");
      return `${Number(mantissa)}×10${raised}`.replace("-", "−");
    }
    return String(Number(value.toPrecision(4))).replace("-", "−");
  }

  function compare(a, b) {
    return typeof a === "number" && typeof b === "number" ? a - b : String(a).localeCompare(String(b), "en", { numeric: true });
  }

  // ---- filter and sort ----------------------------------------------------------------------------------------------------

  function keeps(row, i) {
    if (state.text && !state.text.toLowerCase().split(/\s+/).every((word) => texts[i].includes(word))) return false;
    for (const [key, wanted] of Object.entries(state.chosen)) {
      const value = row[place.get(key)];
      if (key === "status" && wanted === "failed" ? !failed(row) : String(value) !== wanted) return false;
    }
    for (const [key, [low, high]] of Object.entries(state.ranges)) {
      const value = row[place.get(key)];
      if (value === null || (low !== null && value < low) || (high !== null && value > high)) return false;
    }
    return true;
  }

  function search() {
    found = rows.map((_, i) => i).filter((i) => keeps(rows[i], i));
    if (state.sort !== null) {
      const column = place.get(state.sort), sign = state.down ? -1 : 1;
      found.sort((a, b) => { // what has no value comes last, whichever way
        const [x, y] = [rows[a][column], rows[b][column]];
        if (x === null || y === null) return (x === null) - (y === null) || a - b;
        return sign * compare(x, y) || a - b;
      });
    }
    state.page = Math.min(state.page, Math.max(0, Math.ceil(found.length / state.size) - 1));
  }

  // ---- elements -----------------------------------------------------------------------------------------------------------

  function make(name, attributes = {}, ...children) {
    const node = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) {
      if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
      else if (value === true) node.setAttribute(key, "");
      else if (value !== false) node.setAttribute(key, value);
    }
    node.append(...children);
    return node;
  }

  const head = make("tr"), body = make("tbody"), told = make("p", { class: "found", role: "status" }), pager = make("div", { class: "pager" });
  const filters = make("div", { class: "filters" });

  function visible() { return columns.filter((column) => state.columns.has(column.key)); }

  function drawHead() {
    head.replaceChildren(...visible().map((column) => {
      const sorted = state.sort === column.key ? (state.down ? "descending" : "ascending") : "none";
      const button = make("button", { type: "button", onclick: () => sortBy(column.key) }, column.label.replaceAll("/", "/\u2060"));
      return make("th", { scope: "col", "aria-sort": sorted, "data-key": column.key, class: column.kind === "number" ? "number" : "" }, button);
    }));
  }

  function drawRows(first, last) {
    const fragment = document.createDocumentFragment(), shownColumns = visible();
    for (const i of found.slice(first, last)) {
      const row = rows[i], line = make("tr", { class: failed(row) ? "failed" : "" });
      for (const column of shownColumns) {
        const value = row[place.get(column.key)], text = shown(column, value), cell = make("td", { class: column.kind === "number" ? "number" : "" });
        if (column.key === "cell") cell.append(make("a", { href: row[at.page] }, text));
        else if (column.key === "status") cell.append(make("span", { class: `status ${failed(row) ? "failed" : "good"}` }, text));
        else cell.append(value === null && column.kind === "number" ? "—" : text);
        if (column.key === "reason") { cell.className = "reason"; cell.title = text; }
        line.append(cell);
      }
      fragment.append(line);
    }
    body.replaceChildren(fragment);
  }

  function drawFound() {
    const bad = rows.filter(failed).length, left = bad - found.filter((i) => failed(rows[i])).length;
    const parts = [`${found.length} of ${rows.length} cells; ${bad} without a result`];
    if (left) parts.push(", ", make("strong", { class: "hidden-failures" }, `${left} of them hidden by the filters`), ". ",
      make("button", { type: "button", onclick: onlyFailures }, "Show the cells without a result"));
    else parts.push(bad ? ", all of them in this list." : ".");
    told.replaceChildren(...parts);
    told.dataset.found = found.length;
    told.dataset.hiddenFailures = left;
  }

  function drawPager() {
    const pages = Math.max(1, Math.ceil(found.length / state.size)), first = state.page * state.size;
    const go = (page) => () => { state.page = page; draw(); };
    const size = make("select", { "aria-label": "Rows per page", onchange: () => { state.size = size.value === "all" ? Infinity : Number(size.value); state.page = 0; draw(); } },
      ...[...PAGE_SIZES, "all"].map((n) => make("option", { value: n, selected: n === state.size || (n === "all" && state.size === Infinity) }, `${n} rows`)));
    pager.replaceChildren(
      make("button", { type: "button", disabled: state.page === 0, onclick: go(state.page - 1) }, "Previous"),
      make("span", {}, found.length ? `${first + 1} to ${Math.min(found.length, first + state.size)} of ${found.length}` : "no cell"),
      make("button", { type: "button", disabled: state.page >= pages - 1, onclick: go(state.page + 1) }, "Next"),
      size,
      make("button", { type: "button", onclick: save }, "Save as CSV"),
    );
  }

  function draw() {
    search();
    drawHead();
    const first = state.size === Infinity ? 0 : state.page * state.size;
    drawRows(first, first + state.size);
    drawFound();
    drawPager();
    remember();
  }

  function sortBy(key) {
    state.down = state.sort === key ? !state.down : false;
    state.sort = key;
    state.page = 0;
    draw();
    head.querySelector(`[data-key="${CSS.escape(key)}"] button`).focus(); // the heading was drawn anew
  }

  function onlyFailures() {
    Object.assign(state, { text: "", chosen: { status: "failed" }, ranges: {}, page: 0 });
    drawFilters();
    draw();
  }

  // ---- filters --------------------------------------------------------------------------------------------------------------

  function change(act) { act(); state.page = 0; draw(); }

  function drawFilters() {
    const text = make("input", { type: "search", value: state.text, oninput: () => change(() => { state.text = text.value; }) });
    const nodes = [make("label", {}, "Search", text)];
    for (const column of columns.filter((column) => column.filter === "choice")) {
      const values = [...new Set(rows.map((row) => row[place.get(column.key)]))].filter((value) => value !== null).sort(compare);
      if (values.length < 2) continue;
      const options = [["", "all"], ...(column.key === "status" && rows.some(failed) ? [["failed", "any without a result"]] : []), ...values.map((value) => [String(value), shown(column, value)])];
      const select = make("select", {
        "data-key": column.key,
        onchange: () => change(() => { if (select.value) state.chosen[column.key] = select.value; else delete state.chosen[column.key]; }),
      }, ...options.map(([value, name]) => make("option", { value, selected: state.chosen[column.key] === value }, name)));
      nodes.push(make("label", {}, column.label, select));
    }
    const ranges = columns.filter((column) => column.filter === "range").map((column) => {
      const now = state.ranges[column.key] || [null, null];
      const ends = [0, 1].map((end) => make("input", {
        type: "number", step: "any", value: now[end] ?? "", "data-key": column.key, "data-end": end, "aria-label": `${column.label}, ${end ? "at most" : "at least"}`,
        oninput: () => change(() => {
          const next = ends.map((input) => (input.value === "" ? null : Number(input.value)));
          if (next.every((value) => value === null)) delete state.ranges[column.key]; else state.ranges[column.key] = next;
        }),
      }));
      return make("label", {}, column.label, make("span", { class: "range" }, ends[0], "to", ends[1]));
    });
    const boxes = columns.filter((column) => column.key !== "page").map((column) => {
      const input = make("input", { type: "checkbox", checked: state.columns.has(column.key), onchange: () => { if (input.checked) state.columns.add(column.key); else state.columns.delete(column.key); draw(); } });
      return make("span", { class: "key" }, make("label", { style: "display:inline" }, input, ` ${column.label}`));
    });
    const open = { ranges: filters.querySelector("details.ranges")?.open || Object.keys(state.ranges).length > 0, columns: filters.querySelector("details.columns")?.open || false };
    filters.replaceChildren(
      ...nodes,
      make("button", { type: "button", onclick: () => { Object.assign(state, { text: "", chosen: {}, ranges: {}, sort: null, down: false, page: 0 }); drawFilters(); draw(); } }, "Clear all"),
      make("details", { class: "ranges", style: "flex-basis:100%", open: open.ranges }, make("summary", {}, "Ranges of scores"), make("div", { class: "filters" }, ...ranges)),
      make("details", { class: "columns", style: "flex-basis:100%", open: open.columns }, make("summary", {}, "Columns"), make("div", {}, ...boxes)),
    );
  }

  // ---- address, file, print ---------------------------------------------------------------------------------------------------

  function remember() {
    const told = new URLSearchParams();
    if (state.text) told.set("text", state.text);
    for (const [key, value] of Object.entries(state.chosen)) told.set(key, value);
    for (const [key, [low, high]] of Object.entries(state.ranges)) told.set(`range:${key}`, `${low ?? ""}~${high ?? ""}`);
    if (state.sort !== null) told.set("sort", (state.down ? "-" : "") + state.sort);
    const hash = String(told);
    if (hash || location.hash.includes("=")) history.replaceState(null, "", hash ? `#${hash}` : "#cells");
  }

  function recall() {
    if (!location.hash.includes("=")) return;
    for (const [key, value] of new URLSearchParams(location.hash.slice(1))) {
      if (key === "text") state.text = value;
      else if (key === "sort" && place.has(value.replace(/^-/, ""))) Object.assign(state, { sort: value.replace(/^-/, ""), down: value.startsWith("-") });
      else if (key.startsWith("range:") && place.has(key.slice(6))) state.ranges[key.slice(6)] = value.split("~").map((end) => (end === "" ? null : Number(end)));
      else if (place.has(key)) state.chosen[key] = value;
    }
  }

  function save() {
    const chosen = columns.filter((column) => column.key !== "page");
    const quoted = (value) => {
      let text = value === null ? "" : value === Infinity ? "inf" : value === -Infinity ? "-inf" : String(value);
      if (typeof value === "string" && /^[=+@\t\r]/.test(text)) text = `'${text}`; // a spreadsheet must not run it
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    const lines = [chosen.map((column) => quoted(column.key)), ...found.map((i) => chosen.map((column) => quoted(rows[i][place.get(column.key)])))];
    const file = new Blob([`${lines.map((line) => line.join(",")).join("\r\n")}\r\n`], { type: "text/csv" });
    const link = make("a", { href: URL.createObjectURL(file), download: "cells.csv" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  window.addEventListener("beforeprint", () => drawRows(0, found.length)); // paper has no second page of the table to turn to
  window.addEventListener("afterprint", draw);
  window.addEventListener("hashchange", () => { if (location.hash.includes("=")) { Object.assign(state, { text: "", chosen: {}, ranges: {} }); recall(); drawFilters(); draw(); } });

  recall();
  drawFilters();
  box.replaceChildren(filters, told, pager, make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Cells" },
    make("table", { class: "cells" }, make("caption", { class: "meta", hidden: true }, "Cells"), make("thead", {}, head), body)));
  draw();
})();
