/** Numbers, plurals and the regional variant of a language, for whoever writes words. */

/**
 * The user's own variant of a language ("en-GB" for "en"), else the page's, else the language as it stands: dates are in
 * the same language as the words around them, and in the form that the user knows.
 */
export function variantOf(lang: string): string {
  const own = typeof navigator === "undefined" ? [] : navigator.languages;
  const page = typeof document === "undefined" ? "" : document.documentElement.lang;
  const base = lang.split("-")[0];
  return [...own, page].find((one) => one.split("-")[0] === base && isTag(one)) ?? lang;
}

/** A page may carry a `lang` that is no language tag. */
function isTag(text: string): boolean {
  try {
    return Intl.getCanonicalLocales(text).length === 1;
  } catch {
    return false;
  }
}

/** A sentence for each form that the language has; `#` stands for the number. */
export type Forms = Partial<Record<Intl.LDMLPluralRule, string>> & { other: string };

export interface Counter {
  /** The form that this number takes, with the number in it, in the digits of the language. */
  count: (number: number, forms: Forms) => string;
  /** A number in the digits of the language. */
  digits: (number: number) => string;
}

/** Source: Unicode CLDR plural rules, which the platform has as `Intl.PluralRules`. */
export function counterOf(lang: string): Counter {
  const rules = new Intl.PluralRules(lang);
  let format: Intl.NumberFormat | undefined;
  const digits = (number: number): string => (format ??= new Intl.NumberFormat(variantOf(lang))).format(number);
  return {
    count: (number, forms) => (forms[rules.select(number)] ?? forms.other).replaceAll("#", digits(number)),
    digits,
  };
}
