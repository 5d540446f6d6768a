import { renderToStaticMarkup } from "react-dom/server";
import { expect, it } from "vitest";
import { fold, Found } from "./find.js";

it.each([
  ["Chloé", "CHLOE"],
  ["Jürgen Groß", "jurgen gross"],
  ["Søren Łukasz", "soren lukasz"],
  ["Işık", "isik"],
  ["Ἀλέξανδρος", "ΑΛΕΞΑΝΔΡΟΣ"],
  ["أحمد", "احمد"],
  ["مُحَمَّد", "محمد"],
  ["فاطمة", "فاطمه"],
  ["ليلى", "ليلي"],
  ["کیان", "كيان"],
  ["محـــمد", "محمد"],
  ["ｍｉｎａ", "mina"],
  ["O’Brien", "o'brien"],
])("%s and %s are the same to somebody who searches", (one, other) => {
  expect(fold(one)).toBe(fold(other));
});

it.each([
  ["Chloé Marchand", "chloe", "<mark>Chloé</mark> Marchand"],
  ["Chloe\u0301 Marchand", "chloe", "<mark>Chloe\u0301</mark> Marchand"],
  ["Groß", "s", "Gro<mark>ß</mark>"],
  ["مُحَمَّد علي", "محمد", "<mark>مُحَمَّد</mark> علي"],
  ["<b>bold", "b", "&lt;<mark>b</mark>&gt;bold"],
  ["Ben", "x", "Ben"],
  ["Ben", "", "Ben"],
])("of %s, what is found by %s is marked, whole letters", (text, wanted, marked) => {
  expect(renderToStaticMarkup(<Found text={text} wanted={fold(wanted)} />)).toBe(marked);
});
