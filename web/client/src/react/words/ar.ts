/**
 * The screen in Arabic. Arabic has six forms of the plural; names and texts are isolated, so that one of another direction
 * does not turn the sentence around (Unicode UAX 9, FSI and PDI).
 */
import type { Words } from "./en.js";
import { counterOf, type Forms } from "./locale.js";

const { count, digits } = counterOf("ar");

const isolated = (text: string): string => `\u2068${text}\u2069`;

const seconds: Forms = {
  zero: "# ثانية",
  one: "ثانية واحدة",
  two: "ثانيتين",
  few: "# ثوانٍ",
  many: "# ثانية",
  other: "# ثانية",
};
const newMessages: Forms = {
  zero: "لا رسائل جديدة",
  one: "رسالة جديدة واحدة",
  two: "رسالتان جديدتان",
  few: "# رسائل جديدة",
  many: "# رسالة جديدة",
  other: "# رسالة جديدة",
};
const unreadMessages: Forms = {
  zero: "لا رسائل غير مقروءة",
  one: "رسالة واحدة غير مقروءة",
  two: "رسالتان غير مقروءتين",
  few: "# رسائل غير مقروءة",
  many: "# رسالة غير مقروءة",
  other: "# رسالة غير مقروءة",
};
const unsentMessages: Forms = {
  zero: "أُرسلت كل الرسائل",
  one: "رسالة واحدة لم تُرسل",
  two: "رسالتان لم تُرسلا",
  few: "# رسائل لم تُرسل",
  many: "# رسالة لم تُرسل",
  other: "# رسالة لم تُرسل",
};
const people: Forms = {
  zero: "لا أحد",
  one: "شخص واحد",
  two: "شخصان",
  few: "# أشخاص",
  many: "# شخصًا",
  other: "# شخص",
};
const bytes: Forms = {
  zero: "# بايت",
  one: "بايت واحد",
  two: "بايتان",
  few: "# بايتات",
  many: "# بايتًا",
  other: "# بايت",
};

const REFUSALS: Record<string, string> = {
  not_allowed: "لا يمكنك مراسلة هذا الشخص.",
  blocked_by_you: "لقد حظرت هذا الشخص. ألغِ الحظر أولًا.",
  empty_text: "الرسالة فارغة.",
  text_too_long: "الرسالة أطول من المسموح.",
  control_characters: "في الرسالة محارف تحكم لا يُسمح بها.",
  too_large: "الرسالة أكبر من المسموح.",
  bad_user_id: "هذا ليس معرّف مستخدم.",
  to_oneself: "لا يمكنك مراسلة نفسك.",
  unknown_person: "لا أحد هنا بهذا المعرّف.",
  unknown_type: "هذا النوع من الرسائل غير مسموح به.",
  reserved_type: "هذا النوع من الرسائل غير مسموح به.",
  conversation_full: "هذه المحادثة ممتلئة.",
  rate_limited: "أرسلت رسائل كثيرة في وقت قصير.",
  new_conversations_limited: "بدأت محادثات جديدة كثيرة. حاول لاحقًا.",
  unauthorized: "سجّل الدخول.",
  signed_out: "سجّل الدخول.",
  not_yours: "أنت الآن مسجّل الدخول باسم شخص آخر. أعد تحميل الصفحة للمتابعة.",
  unavailable: "الخادم مشغول.",
  internal: "في الخادم خلل.",
};

function cause(reason: string | null): string {
  switch (reason) {
    case "network":
    case "end":
      return "الشبكة أو الخادم غير متاح.";
    case "timeout":
    case "silent":
    case "mute":
      return "الخادم لا يستجيب.";
    case "draining":
      return "يُعاد تشغيل الخادم.";
    case "status_429":
    case "status_503":
      return "الخادم مشغول.";
    case "replaced":
      return "عدد النوافذ المفتوحة كبير.";
    case "token":
      return "تعذّر تجديد تسجيل دخولك.";
    case "violation":
      return "في الخادم خلل.";
    case null:
      return "";
    default:
      return /^status_5/.test(reason) ? "في الخادم خلل." : "";
  }
}

export const arabic: Words = {
  lang: "ar",
  dir: "rtl",

  connectionLost: "انقطع الاتصال.",
  cause,
  polling: "انقطع الاتصال. التحديث الآن دوري",
  pollingDetail: (number) => `(كل ${count(number, seconds)}: تصل الرسائل متأخرة قليلًا)`,
  ownState: {
    reconnecting: "جارٍ إعادة الاتصال… ما ترسله محفوظ",
    polling: "انقطع الاتصال. التحديث الآن دوري",
    offline: "أنت غير متصل بالإنترنت",
    unreachable: "تعذّر الوصول إلى الخادم",
    unauthorized: "سجّل الدخول من جديد",
    signedOut: "تسجيل الدخول إلى رسائلك",
    otherUser: "سُجّل الدخول باسم شخص آخر",
    refused: "رفض الخادم الاتصال",
    closed: "انتهى الاتصال",
  },
  retryIn: (number, attempt) =>
    `${number > 0 ? `محاولة جديدة بعد ${count(number, seconds)}` : "محاولة جديدة الآن"} (المحاولة ${digits(attempt)}).`,
  sendsAreKept: "ما ترسله يُحفظ ويُرسل لاحقًا.",
  offline: "أنت غير متصل بالإنترنت. تُرسل الرسائل حين تعود.",
  unauthorized: "سجّل الدخول من جديد. ما كتبته محفوظ على هذا الجهاز.",
  unreachable: "تعذّر الوصول إلى الخادم.",
  textIsSafe: "ما كتبته محفوظ على هذا الجهاز.",
  refused: "تعذّر الوصول إلى رسائلك: رفض الخادم الاتصال. ما كتبته محفوظ على هذا الجهاز.",
  otherUser: "أنت الآن مسجّل الدخول باسم شخص آخر. أعد تحميل الصفحة للمتابعة. ما لم يُرسل ينتظر هنا صاحبه.",
  reload: "إعادة التحميل",
  reconnect: "أعد الاتصال",
  signIn: "تسجيل الدخول",
  backOnline: (news) => (news === 0 ? "عاد الاتصال." : `عاد الاتصال. ${count(news, newMessages)}.`),

  back: "العودة إلى المحادثات",
  messagesWith: (name) => `الرسائل مع ${isolated(name)}`,
  you: "أنت",
  noMessages: "هذه بداية محادثتكما.",
  sayHello: (name) => `ألقِ التحية على ${isolated(name)}`,
  loadingMessages: "جارٍ تحميل الرسائل…",
  loadingOlder: "جارٍ تحميل رسائل أقدم…",
  loadFailed: "تعذّر تحميل الرسائل.",
  tryAgain: "حاول مرة أخرى",
  deleted: "حُذفت الرسالة",
  showMore: "عرض المزيد",
  showLess: "عرض أقل",
  today: "اليوم",
  yesterday: "أمس",
  newMessages: (number) => (number === null ? "رسائل جديدة" : count(number, newMessages)),
  jumpToNew: (number) => `${digits(number)} جديدة`,
  // What is seen is part of the name, for those who say it to their computer.
  jumpToNewName: (number) => `${digits(number)} جديدة، إلى الأحدث`,
  jumpToLatest: "إلى أحدث رسالة",
  typing: (name) => `${isolated(name)} يكتب الآن…`,
  online: "متصل الآن",
  statusTyping: "يكتب…",
  statusBlocked: "محظور",
  messageName: (who, time, text, state) =>
    `${isolated(who)}، ${time}: ${isolated(text)}${state === "" ? "" : `، ${state}`}`,

  actions: "إجراءات",
  copy: "نسخ النص",
  copied: "نُسخ النص.",
  copyFailed: "لم يسمح المتصفح بنسخ النص.",
  reportMessage: "الإبلاغ عن هذه الرسالة",

  more: (name) => `المزيد عن ${isolated(name)}`,
  block: (name) => `حظر ${isolated(name)}`,
  blockQuestion: (name) =>
    `حظر ${isolated(name)}؟ لن يستطيع أي منكما مراسلة الآخر حتى تلغي الحظر. لن يُخبَر ${isolated(name)} بذلك.`,
  blockConfirm: "حظر",
  blocked: (name) => `لقد حظرت ${isolated(name)}.`,
  blockedMark: "محظور",
  unblock: "إلغاء الحظر",
  report: (name) => `الإبلاغ عن ${isolated(name)}`,
  reportLabel: "ماذا حدث؟",
  reportHint: "تُرسل معه أحدث رسائل هذه المحادثة.",
  reportMessageHint: (text) => `تُرسل معه «${isolated(text)}» وما قيل قبلها.`,
  reportSend: "إرسال البلاغ",
  reported: "أُرسل بلاغك. شكرًا لك.",
  close: "إغلاق",

  tick: {
    waiting: "بانتظار الإرسال",
    sending: "جارٍ الإرسال",
    cancelling: "جارٍ الإلغاء",
    failed: "لم تُرسل",
    sent: "أُرسلت",
    delivered: "وصلت",
    read: "قُرئت",
  },
  stillSending: "ما زالت تُرسل",
  tryNow: "حاول الآن",
  notSent: "لم تُرسل.",
  retry: "إعادة الإرسال",
  delete: "حذف",
  notSentMany: (number) => count(number, unsentMessages),
  retryAll: "إعادة إرسال الكل",
  deleteAll: "حذف الكل",
  refusal: (code, told) => {
    if (code === "expired") return `تعذّر إرسالها طوال ${digits(48)} ساعة.`;
    return REFUSALS[code] ?? (cause(code) || (/^status_/.test(code) ? "رفض الخادم ذلك." : told));
  },
  cannotWrite: (name) => `لا يمكنك مراسلة ${isolated(name)} حاليًا.`,
  writeAgain: "الكتابة مجددًا",

  composer: (name) => `رسالة إلى ${isolated(name)}`,
  send: "إرسال",
  bytesLeft: (number) => `المتبقي: ${count(number, bytes)}`,
  tooLong: (over) =>
    `أطول من المسموح بمقدار ${count(over, { ...bytes, two: "بايتين" })}. لم يُقطع شيء: اختصرها لترسلها.`,

  announce: (name, text) => `رسالة جديدة من ${isolated(name)}: ${isolated(text)}`,
  announceMany: (name, number) => `${count(number, newMessages)} من ${isolated(name)}`,
  announceFailed: (reason) => `لم تُرسل الرسالة. ${reason}`,

  conversations: "المحادثات",
  noConversations: "لا رسائل بعد",
  noConversationsHint: "راسل شخصًا لتبدأ محادثة.",
  inboxFailed: "تعذّر تحميل محادثاتك.",
  loadMore: "عرض محادثات أخرى",
  unread: (number) => count(number, unreadMessages),
  badge: (number) => (number > 99 ? `${digits(99)}+` : digits(number)),
  youPrefix: "أنت: ",
  draftPrefix: "مسودة: ",
  notSentPrefix: "لم تُرسل: ",
  loadingConversations: "جارٍ تحميل المحادثات…",
  search: "بحث",
  searchLabel: "البحث عن أشخاص ومحادثات",
  clear: "مسح",
  filter: "تصفية",
  filterAll: "الكل",
  filterUnread: "غير مقروءة",
  allRead: "كل شيء مقروء",
  allReadHint: "لا شيء بانتظارك.",
  showAll: "عرض الكل",
  nobodyFound: (name) => `لا أحد باسم «${isolated(name)}»`,
  nobodyFoundHint: "لا في محادثاتك ولا بين الأشخاص.",
  clearSearch: "مسح البحث",
  people: "أشخاص",
  listWidth: "عرض قائمة المحادثات",
  chooseTitle: "رسائلك",
  noneChosen: "لم تُختر محادثة",
  chooseHint: (keys) => `اختر محادثة، أو ابحث عن شخص بالمفتاحين ${keys}.`,
  selfTitle: "هذا أنت",
  nobodyTitle: "لا أحد بهذا العنوان",
  selfHint: "تحتاج المحادثة إلى شخص آخر.",
  titleWithUnread: (number, title) => `(${number > 99 ? `${digits(99)}+` : digits(number)}) ${title}`,

  messages: "الرسائل",
  messagesUnread: (number) => `الرسائل، ${count(number, unreadMessages)}`,
  closeMessages: "إغلاق الرسائل",
  signInFirst: "تسجيل الدخول إلى رسائلك",

  newMessage: "رسالة جديدة",
  newMessageLabel: "إلى من؟ اسم أو معرّف",
  toWhomById: "إلى من؟ معرّف المستخدم",
  toWhom: "إلى من؟ ابحث بالاسم",
  knownPeople: "راسلتهم من قبل",
  everybody: "الجميع",
  peopleFound: (number) => count(number, people),
  searchFailed: "تعذّر البحث بين الجميع.",
  searchLater: "البحث مشغول. يستمر من تلقاء نفسه بعد لحظات.",
  findSomebody: "عمّن تبحث؟",
  findSomebodyHint: "اكتب اسمًا أو بدايته.",
  knownPeopleHint: "تجد هنا من راسلتهم من قبل.",
  nobodyYet: "لا أحد لتختاره بعد",
  nobodyYetHint: "يظهر هنا من يراسلك.",
  writeTo: (id) => `مراسلة «${isolated(id)}»`,
  cancel: "إلغاء",
  userId: {
    empty: "اكتب اسم الشخص أو معرّفه.",
    only: "اكتب معرّف المستخدم كما هو تمامًا.",
    get long() {
      return `لا يزيد معرّف المستخدم على ${digits(128)} محرفًا.`;
    },
    control: "ليس في معرّف المستخدم محارف تحكم.",
    slash: "ليس في معرّف المستخدم / ولا \\.",
    reserved: (id) => `«${isolated(id)}» ليس معرّف مستخدم.`,
    self: "هذا أنت. اكتب معرّف شخص آخر.",
  },
};
