// Markdown as Mattermost writes it, into elements. Nothing of a message is ever read as HTML: every character
// ends up in a text node, and only http and https addresses become links.
import { h } from './dom.js';
import { emojiFor } from './emoji.js';

// options: {mention(name) -> {label, self} | null, channel(name) -> {label, href} | null}
export function markdown(text, options = {}) {
  const fragment = document.createDocumentFragment();
  fragment.append(...blocks(text.replace(/\r\n?/g, '\n').split('\n'), options, 0));
  return fragment;
}

// --- blocks ---------------------------------------------------------------------------------------

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(\S.*)$/;
const RULE = /^ {0,3}([-*_])(\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}>\s?(.*)$/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])\s+(.*)$/;
const TABLE_LINE = /^\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?$/;
const MAX_DEPTH = 12;

function blocks(lines, options, depth) {
  const out = [];
  let paragraph = [];
  const flush = () => {
    if (paragraph.length) out.push(h('p', null, inlineLines(paragraph, options)));
    paragraph = [];
  };
  for (let i = 0; i < lines.length; i++) {
    const line = lines[i];
    let m;
    if (!line.trim()) {
      flush();
    } else if ((m = FENCE.exec(line))) {
      flush();
      const end = new RegExp(`^ {0,3}${m[1][0]}{${m[1].length},}\\s*$`);
      const code = [];
      while (++i < lines.length && !end.test(lines[i])) code.push(lines[i]);
      out.push(codeBlock(code.join('\n'), m[2]));
    } else if ((m = HEADING.exec(line))) {
      flush();
      out.push(h(`h${m[1].length}`, null, inline(m[2].trimEnd(), options)));
    } else if (RULE.test(line)) {
      flush();
      out.push(h('hr'));
    } else if (QUOTE.test(line) && depth < MAX_DEPTH) {
      flush();
      const quoted = [];
      for (; i < lines.length && (m = QUOTE.exec(lines[i])); i++) quoted.push(m[1]);
      i--;
      out.push(h('blockquote', null, blocks(quoted, options, depth + 1)));
    } else if (ITEM.test(line) && depth < MAX_DEPTH) {
      flush();
      const [list, next] = parseList(lines, i, options, depth);
      out.push(list);
      i = next - 1;
    } else if (line.includes('|') && TABLE_LINE.test((lines[i + 1] ?? '').trim())
        && cells(line).length === cells(lines[i + 1]).length) {
      flush();
      let end = i + 2;
      while (end < lines.length && lines[end].includes('|')) end++;
      out.push(table(lines.slice(i, end), options));
      i = end - 1;
    } else {
      paragraph.push(line);
    }
  }
  flush();
  return out;
}

function codeBlock(code, language) {
  const copy = h('button', {
    type: 'button', class: 'code-copy', 'aria-label': 'Copy the code',
    onclick: async () => {
      try {
        await navigator.clipboard.writeText(code);
        copy.textContent = 'Copied';
      } catch {
        copy.textContent = 'Not allowed';
      }
      setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
    },
  }, 'Copy');
  return h('div', { class: 'code-block' },
    h('div', { class: 'code-head' }, h('span', { class: 'code-language' }, language || 'text'), copy),
    h('pre', { tabindex: '0' }, h('code', null, code)));
}

// One list, with whatever is indented below its items. Returns [element, next line].
function parseList(lines, start, options, depth) {
  const first = ITEM.exec(lines[start]);
  const indent = first[1].length;
  const ordered = /\d/.test(first[2]);
  const items = [];
  let i = start;
  let tight = null;
  for (; i < lines.length; i++) {
    const m = ITEM.exec(lines[i]);
    const own = /^ */.exec(lines[i])[0].length;
    if (m && own <= indent + 1 && own >= indent) {
      if (/\d/.test(m[2]) !== ordered) break;
      tight = own + m[2].length + 1;
      items.push([m[3]]);
    } else if (!lines[i].trim()) {
      const next = lines[i + 1] ?? '';
      if (!next.trim() || (/^ */.exec(next)[0].length <= indent && !ITEM.test(next))) break;
      items.at(-1).push('');
    } else if (own > indent) {
      items.at(-1).push(lines[i].slice(Math.min(own, tight)));
    } else {
      break;
    }
  }
  const elements = items.map((item) => {
    const task = /^\[([ xX])\]\s+(.*)$/.exec(item[0]);
    if (task) item[0] = task[2];
    const content = blocks(item, options, depth + 1);
    // A paragraph of its own would only add space.
    if (content[0]?.tagName === 'P') content.splice(0, 1, ...content[0].childNodes);
    return h('li', { class: task ? 'task' : null },
      task && h('input', { type: 'checkbox', disabled: true, checked: task[1] !== ' ', 'aria-label': 'task' }),
      content);
  });
  return [h(ordered ? 'ol' : 'ul', ordered && { start: String(parseInt(first[2], 10)) }, elements), i];
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, '').replace(/(?<!\\)\|$/, '');
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replaceAll('\\|', '|'));
}

function table(lines, options) {
  const aligns = cells(lines[1]).map((c) => {
    if (c.startsWith(':') && c.endsWith(':')) return 'center';
    return c.endsWith(':') ? 'right' : 'left';
  });
  const row = (tag, line) => {
    const found = cells(line);
    return h('tr', null, aligns.map((align, i) =>
      h(tag, { class: `align-${align}` }, inline(found[i] ?? '', options))));
  };
  return h('div', { class: 'table-scroll', tabindex: '0', role: 'region', 'aria-label': 'table' },
    h('table', null, h('thead', null, row('th', lines[0])),
      h('tbody', null, lines.slice(2).map((line) => row('td', line)))));
}

// --- inline ---------------------------------------------------------------------------------------

// A line break in a message is a line break on the screen.
function inlineLines(lines, options) {
  return lines.flatMap((line, i) => (i ? [h('br'), ...inline(line, options)] : inline(line, options)));
}

const WORD = /[\p{L}\p{N}_]/u;
const SPANS = [
  { mark: '***', tag: 'strong', inner: 'em' },
  { mark: '**', tag: 'strong' },
  { mark: '__', tag: 'strong', wordless: true },
  { mark: '~~', tag: 'del' },
  { mark: '*', tag: 'em' },
  { mark: '_', tag: 'em', wordless: true },
];

function inline(text, options, depth = 0) {
  const out = [];
  const dead = new Set(); // marks that are not closed in the rest of this text: not looked for again
  let plain = '';
  const push = (node) => {
    if (plain) out.push(document.createTextNode(plain));
    plain = '';
    out.push(node);
  };
  let i = 0;
  while (i < text.length) {
    const found = depth < MAX_DEPTH && at(text, i, options, depth, dead);
    if (found) {
      push(found[0]);
      i = found[1];
    } else if (text[i] === '\\' && /[\\`*_{}[\]()#+\-.!~|>:@]/.test(text[i + 1] ?? '')) {
      plain += text[i + 1];
      i += 2;
    } else {
      plain += text[i];
      i++;
    }
  }
  if (plain) out.push(document.createTextNode(plain));
  return out;
}

// What begins at `i`: [node, where it ends], or nothing.
function at(text, i, options, depth, dead) {
  switch (text[i]) {
    case '`': return codeSpan(text, i, dead);
    case '[': return link(text, i, options, depth);
    case '!': return text[i + 1] === '[' ? link(text, i + 1, options, depth) : null;
    case '*':
    case '_': return span(text, i, options, depth, dead);
    case '~': return span(text, i, options, depth, dead) ?? channelLink(text, i, options);
    case 'h':
    case 'H': return bareLink(text, i);
    case '<': return angleLink(text, i);
    case '@': return mention(text, i, options);
    case ':': return emoji(text, i);
    default: return null;
  }
}

function codeSpan(text, i, dead) {
  const ticks = /^`+/.exec(text.slice(i))[0];
  if (dead.has(ticks)) return null;
  let end = text.indexOf(ticks, i + ticks.length);
  while (end >= 0 && (text[end + ticks.length] === '`' || text[end - 1] === '`')) {
    end = text.indexOf(ticks, end + 1);
  }
  if (end < 0) {
    dead.add(ticks);
    return null;
  }
  return [h('code', null, text.slice(i + ticks.length, end).trim()), end + ticks.length];
}

function span(text, i, options, depth, dead) {
  for (const { mark, tag, inner, wordless } of SPANS) {
    if (dead.has(mark) || !text.startsWith(mark, i)) continue;
    const start = i + mark.length;
    if (!text[start] || /\s/.test(text[start])) continue;
    if (wordless && WORD.test(text[i - 1] ?? '')) continue;
    let end = text.indexOf(mark, start + 1);
    while (end >= 0) {
      const closes = !/\s/.test(text[end - 1]) && text[end - 1] !== '\\'
        && !(wordless && WORD.test(text[end + mark.length] ?? ''))
        && !(mark.length === 1 && (text[end + 1] === mark || text[end - 1] === mark));
      if (closes) break;
      end = text.indexOf(mark, end + 1);
    }
    if (end < 0) {
      dead.add(mark);
      continue;
    }
    // "**a *b***": the last marks belong to the outer span.
    while (mark.length > 1 && text[end + mark.length] === mark[0] && mark.length < 3) end++;
    const content = inline(text.slice(start, end), options, depth + 1);
    return [h(tag, null, inner ? h(inner, null, content) : content), end + mark.length];
  }
  return null;
}

function safeUrl(url) {
  try {
    const parsed = new URL(url);
    return parsed.protocol === 'http:' || parsed.protocol === 'https:' ? parsed.href : null;
  } catch {
    return null;
  }
}

function anchor(href, content) {
  return h('a', { href, target: '_blank', rel: 'noopener noreferrer nofollow' }, content);
}

function link(text, i, options, depth) {
  const m = /^\[((?:[^[\]\\]|\\.|\[[^[\]]*\])*)\]\(\s*<?((?:[^\s()<>]|\([^\s()]*\))*)>?(?:\s+"[^"]*")?[^()]*\)/
    .exec(text.slice(i));
  const href = m && safeUrl(m[2]);
  if (!href) return null;
  return [anchor(href, m[1] ? inline(m[1], { ...options, mention: null }, depth + 1) : href), i + m[0].length];
}

function bareLink(text, i) {
  if (WORD.test(text[i - 1] ?? '')) return null;
  const m = /^https?:\/\/[^\s<>"`]+/i.exec(text.slice(i));
  if (!m) return null;
  let url = m[0].replace(/[.,;:!?'*_~]+$/, '');
  // A closing bracket belongs to the sentence unless the address opened it.
  while (url.endsWith(')') && url.split('(').length < url.split(')').length) url = url.slice(0, -1);
  const href = safeUrl(url);
  return href ? [anchor(href, url), i + url.length] : null;
}

function angleLink(text, i) {
  const m = /^<(https?:\/\/[^\s<>]+)>/i.exec(text.slice(i));
  const href = m && safeUrl(m[1]);
  return href ? [anchor(href, m[1]), i + m[0].length] : null;
}

function mention(text, i, options) {
  if (!options.mention || WORD.test(text[i - 1] ?? '')) return null;
  const m = /^@([a-z0-9._-]+)/i.exec(text.slice(i));
  if (!m) return null;
  // "@anna." ends a sentence.
  for (let name = m[1]; name; name = /[._-]$/.test(name) ? name.slice(0, -1) : '') {
    const found = options.mention(name.toLowerCase());
    if (found) {
      return [h('span', { class: found.self ? 'mention mention-self' : 'mention', title: found.label }, `@${name}`),
        i + 1 + name.length];
    }
  }
  return null;
}

function channelLink(text, i, options) {
  if (!options.channel || WORD.test(text[i - 1] ?? '')) return null;
  const m = /^~([a-z0-9_-]+)/i.exec(text.slice(i));
  const found = m && options.channel(m[1].toLowerCase());
  return found ? [h('a', { class: 'mention', href: found.href }, `~${found.label}`), i + m[0].length] : null;
}

function emoji(text, i) {
  const m = /^:([a-z0-9_+-]+):/i.exec(text.slice(i));
  const found = m && emojiFor(m[1].toLowerCase());
  return found ? [h('span', { class: 'emoji', role: 'img', 'aria-label': m[1], title: m[0] }, found), i + m[0].length]
    : null;
}
