/** What the page says around the chat, in each language that it has. */
import { createContext, useContext } from "react";

export const english = {
  signIn: "Sign in",
  signInEnded: "Your sign-in has ended",
  stepRun: (command: string) => ["On the server, run ", command, " with your user id."],
  stepOpen: (address: string) => ["Open ", address, ", or paste the token here:"],
  token: "Token",
  notAToken: "That is not a token. Paste the whole line.",
  tokenNote: "The token is kept in this tab only, and taken out of the address bar.",
  whoAreYou: "Who are you?",
  choosePerson: "Choose somebody. Open a second window as somebody else, and write to each other.",
  beSomebodyElse: "Switch person",
  signOut: "Sign out",
  sound: "Sound for new messages",
  unreachable: "Can’t reach the server",
  notSetUp: (why: string) => `The page could not be set up: ${why}.`,
  answered: (status: number) => `the server answered ${status}`,
  tryAgain: "Try again",
};

export type PageWords = typeof english;

export const arabic: PageWords = {
  signIn: "تسجيل الدخول",
  signInEnded: "انتهى تسجيل دخولك",
  stepRun: (command) => ["على الخادم نفّذ ", command, " مع معرّف المستخدم الخاص بك."],
  stepOpen: (address) => ["افتح ", address, "، أو الصق الرمز هنا:"],
  token: "الرمز",
  notAToken: "هذا ليس رمزًا. الصق السطر كله.",
  tokenNote: "يُحفظ الرمز في هذا اللسان فقط، ويُزال من شريط العنوان.",
  whoAreYou: "من أنت؟",
  choosePerson: "اختر شخصًا. افتح نافذة ثانية باسم شخص آخر، وليراسل أحدهما الآخر.",
  beSomebodyElse: "كن شخصًا آخر",
  signOut: "تسجيل الخروج",
  sound: "صوت للرسائل الجديدة",
  unreachable: "تعذّر الوصول إلى الخادم",
  notSetUp: (why) => `تعذّر إعداد الصفحة: \u2068${why}\u2069.`,
  answered: (status) => `أجاب الخادم بالرقم ${status}`,
  tryAgain: "حاول مرة أخرى",
};

export const PageWordsContext = createContext<PageWords>(english);

export function usePageWords(): PageWords {
  return useContext(PageWordsContext);
}
