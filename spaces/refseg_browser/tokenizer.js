// The tokenizer of a checkpoint, read from its tokenizer.json: replacing, lower case, splitting, one id per word.

// What the library's \s stands for; JavaScript's also has U+FEFF, but not U+0085.
const BLANKS = "\\t-\\r\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

/** A regular expression of the tokenizers library as one of JavaScript. */
function expression({ Regex: pattern }) {
  return new RegExp(pattern.replaceAll("\\A", "^").replaceAll("\\z", "$").replaceAll("\\s", BLANKS), "gu");
}

export class Tokenizer {
  /** @param {object} description tokenizer.json  @param {object} settings tokenizer_config.json */
  constructor(description, settings) {
    this.replacements = description.normalizer.normalizers.map((one) =>
      one.type === "Lowercase" ? (text) => text.toLowerCase() : (text) => text.replace(expression(one.pattern), one.content),
    );
    [this.separators, this.blanks] = description.pre_tokenizer.pretokenizers.map((one) => expression(one.pattern));
    this.ids = new Map(Object.entries(description.model.vocab));
    this.unknown = this.ids.get(description.model.unk_token);
    this.padding = this.ids.get(settings.pad_token);
    this.longest = settings.model_max_length;
  }

  /** The words and separators of a text, known or not. */
  words(text) {
    for (const replace of this.replacements) text = replace(text);
    const words = [];
    let end = 0;
    for (const found of text.matchAll(this.separators)) {
      words.push(text.slice(end, found.index), found[0]);
      end = found.index + found[0].length;
    }
    words.push(text.slice(end));
    return words.filter((word) => word && !word.match(this.blanks));
  }

  /** The words that the model does not know. */
  unknownWords(text) {
    return this.words(text).filter((word) => !this.ids.has(word) && /[a-z0-9]/.test(word));
  }

  /** The ids of a text's first words, as many as the model reads. */
  encode(text) {
    return this.words(text).slice(0, this.longest).map((word) => this.ids.get(word) ?? this.unknown);
  }

  /** Ids and attention mask of several texts, padded on the right to the longest: (N, T) each. */
  batch(texts) {
    const rows = texts.map((text) => this.encode(text));
    const length = Math.max(...rows.map((row) => row.length));
    const ids = new BigInt64Array(rows.length * length).fill(BigInt(this.padding));
    const mask = new BigInt64Array(rows.length * length);
    rows.forEach((row, number) => {
      const start = number * length;
      row.forEach((id, index) => ids.fill(BigInt(id), start + index, start + index + 1));
      mask.fill(1n, start, start + row.length);
    });
    return { ids, mask, shape: [rows.length, length] };
  }
}
