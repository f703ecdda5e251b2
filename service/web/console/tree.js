// @ts-check
// The lineage as a tree: base at the root, what learnt from it below. What leads to the live version is the trunk and goes
// straight down, and so does an only child; the others are branches to its side.

import { el } from "/web/shared/dom.js";

/** @typedef {import("/web/console/versions.js").Version} Version */
/** @typedef {{version: Version, branches: Branch[], trunk: Branch | null}} Branch */

/** @param {Version[]} versions in any order @param {string} live @returns {Branch[]} those without a parent, oldest first */
export function grow(versions, live) {
  const known = new Map(versions.map((version) => [version.name, version]));
  const trunk = trunkOf(known, live);
  /** @type {Map<string | null, Version[]>} */
  const children = new Map();
  for (const version of [...versions].sort((one, other) => one.created_at_s - other.created_at_s)) {
    const parent = version.parent !== null && known.has(version.parent) ? version.parent : null;
    children.set(parent, [...(children.get(parent) ?? []), version]);
  }
  /** @param {Version} version @returns {Branch} */
  const branch = (version) => {
    const own = children.get(version.name) ?? [];
    const straight = own.length === 1 ? own[0] : own.find((child) => trunk.has(child.name));
    return { version, branches: own.filter((child) => child !== straight).map(branch), trunk: straight ? branch(straight) : null };
  };
  return (children.get(null) ?? []).map(branch);
}

/** The names from the live version to its root. @param {Map<string, Version>} known @param {string} live */
function trunkOf(known, live) {
  const names = new Set();
  for (let at = known.get(live); at && !names.has(at.name); at = known.get(at.parent ?? "")) names.add(at.name);
  return names;
}

/**
 * Nested lists, drawn as a tree by adapters.css. @param {Branch[]} branches @param {(version: Version) => Node[]} show what a line says
 * @returns {HTMLElement}
 */
export function asList(branches, show) {
  /** @param {Branch} branch @param {boolean} isTrunk @returns {HTMLElement} */
  const item = (branch, isTrunk) => {
    const below = [...branch.branches.map((child) => item(child, false)), ...(branch.trunk ? [item(branch.trunk, true)] : [])];
    const kind = `version ${isTrunk ? "trunk" : ""} ${below.length ? "parent" : ""}`;
    return el("li", { class: kind, "data-version": branch.version.name },
      el("div", { class: "line" }, show(branch.version)), below.length > 0 && el("ul", { role: "list" }, below));
  };
  return el("ul", { role: "list", class: "tree" }, branches.map((branch) => item(branch, false)));
}
