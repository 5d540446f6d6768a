/** What the page says around the chat, in each language that it has. */
import { createContext, useContext } from "react";
import { counterOf } from "tidings/react";

const { count } = counterOf("en");
const { count: countInArabic } = counterOf("ar");

export const english = {
  messages: "Messages",
  signIn: "Sign in to your messages",
  signInEnded: "Your sign-in has ended",
  linkRefused: "This link is not valid any more.",
  stillSignedIn: (user: string) => `That link is not valid any more. You are still signed in as ${user}.`,
  notALink: "The link that you followed is not whole: there is no sign-in in it. Open it again, or sign in here.",
  signInHint: "Open the link that you were given, or paste the token that is in it.",
  token: "Token",
  notAToken: "This is not a token. Paste the whole line.",
  operators: (command: string) => ["For operators: ", command, " prints one."],
  tokenNote: "It stays in this tab, is taken out of the address bar, and is gone when you close the tab.",
  signInWithToken: "Sign in with the token",
  sameAccount: "You use the account that you have here. Nothing new to remember.",
  goSignIn: "Sign in",
  signInElsewhere: "Sign in as you do elsewhere on this site, and come back.",
  otherUser: "Sign in as somebody else?",
  usedBy: "This browser is used by",
  signsInAs: "The link or token is that of",
  otherWarning:
    "If you did not ask for this, change nothing. Else whoever is signed in here is signed out, and what they have not sent is deleted from this browser.",
  changeNothing: "Change nothing",
  signInAs: (user: string) => `Sign in as ${user}`,
  whoAreYou: "Who are you?",
  choosePerson: "Choose a person for this window. Open a second window as somebody else, and write to each other.",
  beSomebodyElse: "Switch person",
  signOut: "Sign out",
  unsent: (messages: number, drafts: number) => {
    const parts = [
      ...(messages > 0 ? [count(messages, { one: "# message", other: "# messages" })] : []),
      ...(drafts > 0 ? [count(drafts, { one: "# draft", other: "# drafts" })] : []),
    ];
    const rest = { one: "was not sent. Sign out and delete it?", other: "were not sent. Sign out and delete them?" };
    return `${parts.join(" and ")} ${count(messages + drafts, rest)}`;
  },
  staySignedIn: "Stay signed in",
  signOutAndDelete: "Sign out and delete",
  settings: "Settings",
  settingsOf: (name: string) => `Settings of ${name}`,
  close: "Close",
  accountHint: "Name and picture come from your account.",
  appearance: "Appearance",
  system: "System",
  light: "Light",
  dark: "Dark",
  sound: "Sounds",
  soundHint: "A short one when a message arrives that you do not see come.",
  notifications: "Notifications",
  notificationsHint: "From your browser, while this page is in the background.",
  notificationsDenied:
    "Your browser does not let this page show them. Allow it in the browser’s settings for this page.",
  enterSends: "Enter sends",
  enterSendsHint: "Off: Enter begins a line, Ctrl or Cmd with Enter sends.",
  unreachable: "Can’t reach the server",
  notSetUp: (why: string) => `The page could not be set up: ${why}.`,
  answered: (status: number) => `the server has a problem (${status})`,
  noAnswer: "the server does not answer",
  tryAgain: "Try again",
};

export type PageWords = typeof english;

export const arabic: PageWords = {
  messages: "الرسائل",
  signIn: "تسجيل الدخول إلى رسائلك",
  signInEnded: "انتهى تسجيل دخولك",
  linkRefused: "لم يعد هذا الرابط صالحًا.",
  stillSignedIn: (user) => `لم يعد ذلك الرابط صالحًا. ما زلت مسجّل الدخول باسم \u2068${user}\u2069.`,
  notALink: "الرابط الذي فتحته ناقص ولا يسجّل الدخول. افتحه مجددًا أو سجّل الدخول هنا.",
  signInHint: "افتح الرابط الذي أُعطي لك، أو الصق الرمز الذي فيه.",
  token: "الرمز",
  notAToken: "هذا ليس رمزًا. الصق السطر كله.",
  operators: (command) => ["للمشغّلين: ", command, " يطبع رمزًا."],
  tokenNote: "يبقى في هذا اللسان، ويُزال من شريط العنوان، ويزول حين تغلق اللسان.",
  signInWithToken: "تسجيل الدخول بالرمز",
  sameAccount: "تستخدم الحساب الذي لديك هنا. لا شيء جديد لتتذكره.",
  goSignIn: "تسجيل الدخول",
  signInElsewhere: "سجّل الدخول كما تفعل في بقية هذا الموقع، ثم عد إلى هنا.",
  otherUser: "هل تريد تسجيل الدخول باسم شخص آخر؟",
  usedBy: "يستخدم هذا المتصفح",
  signsInAs: "الرابط أو الرمز يخص",
  otherWarning:
    "إن لم تطلب ذلك فلا تغيّر شيئًا. وإلا فسيُسجَّل خروج من دخل هنا قبلك، ويُحذف من هذا المتصفح ما لم يرسله.",
  changeNothing: "لا تغيّر شيئًا",
  signInAs: (user) => `تسجيل الدخول باسم ${user}`,
  whoAreYou: "من أنت؟",
  choosePerson: "اختر شخصًا لهذه النافذة. افتح نافذة ثانية باسم شخص آخر، وليراسل أحدهما الآخر.",
  beSomebodyElse: "كن شخصًا آخر",
  signOut: "تسجيل الخروج",
  unsent: (messages, drafts) => {
    const ofMessages = { one: "رسالة واحدة", two: "رسالتان", few: "# رسائل", many: "# رسالة", other: "# رسالة" };
    const ofDrafts = { one: "مسودة واحدة", two: "مسودتان", few: "# مسودات", many: "# مسودة", other: "# مسودة" };
    const parts = [
      ...(messages > 0 ? [countInArabic(messages, ofMessages)] : []),
      ...(drafts > 0 ? [countInArabic(drafts, ofDrafts)] : []),
    ];
    return `لم يُرسل بعد: ${parts.join(" و")}. هل تريد تسجيل الخروج وحذف ذلك؟`;
  },
  staySignedIn: "البقاء",
  signOutAndDelete: "تسجيل الخروج والحذف",
  settings: "الإعدادات",
  settingsOf: (name) => `إعدادات \u2068${name}\u2069`,
  close: "إغلاق",
  accountHint: "يأتي الاسم والصورة من حسابك.",
  appearance: "المظهر",
  system: "النظام",
  light: "فاتح",
  dark: "داكن",
  sound: "الأصوات",
  soundHint: "صوت قصير حين تصل رسالة لا تراها تصل.",
  notifications: "الإشعارات",
  notificationsHint: "من متصفحك، حين تكون هذه الصفحة في الخلفية.",
  notificationsDenied: "لا يسمح متصفحك لهذه الصفحة بعرضها. اسمح بذلك في إعدادات المتصفح لهذه الصفحة.",
  enterSends: "مفتاح الإدخال يرسل",
  enterSendsHint: "وإلا بدأ سطرًا، وأُرسلت الرسالة به مع مفتاح التحكم.",
  unreachable: "تعذّر الوصول إلى الخادم",
  notSetUp: (why) => `تعذّر إعداد الصفحة: \u2068${why}\u2069.`,
  answered: (status) => `في الخادم خلل (${status})`,
  noAnswer: "الخادم لا يستجيب",
  tryAgain: "حاول مرة أخرى",
};

export const PageWordsContext = createContext<PageWords>(english);

export function usePageWords(): PageWords {
  return useContext(PageWordsContext);
}
