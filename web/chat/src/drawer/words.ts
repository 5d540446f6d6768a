/** Every sentence of the drawer. What is done is said as it is done. */
import type { Fault, FaultKind } from "./state.js";

const plural = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`;

const list = new Intl.ListFormat("en");

const short: Record<FaultKind, string> = {
  reset: "Cut off",
  stall: "Stalled",
  refuse: "Refused",
  lose_replies: "Replies dropped",
  delay: "Delayed",
  buffer: "Stream buffered",
};

export const drawerWords = {
  bar: "Demo",
  open: "Break it",
  title: "Break it",
  close: "Close",
  intro:
    "These faults are real: they happen to the bytes between this page and the server, or to the server itself. " +
    "Everything heals by itself within a minute.",

  countTitle: "What became of the messages",
  sent: "Sent",
  acknowledged: "Acknowledged",
  received: "Received",
  lost: "Lost",
  doubled: "Doubled",
  nothingYet: "Write something, or let the traffic run.",
  allArrived: "Every message arrived, once.",
  waiting: (count: number) => `${count} not acknowledged yet`,
  onTheWay: (count: number) => `${count} on the way`,
  unopened: (count: number) => `${count} for people with no window open`,
  elsewhere: (count: number) => `${count} sent from elsewhere`,
  countAnew: "Count anew",
  countShort: (sent: number, received: number) => `${sent} sent, ${received} received`,
  lossShort: (lost: number, doubled: number) => `${lost} lost, ${doubled} doubled`,

  whom: "For whom",
  only: (name: string) => `Only ${name}`,
  everybody: "Everybody",

  network: "The network",
  fault: short,
  explain: {
    reset: "Connections are reset, and new ones, too.",
    stall: "Nothing moves, and nobody is told.",
    refuse: "The port is closed. For everybody only.",
    lose_replies: "What is sent reaches the server; the answer is lost.",
    delay: "Every byte arrives later, both ways.",
    buffer: "A stream’s bytes are held until it ends, as some proxies do. Open ones are cut first.",
  } satisfies Record<FaultKind, string>,
  buttons: {
    reset: "Cut off",
    stall: "Stall",
    refuse: "Refuse",
    lose_replies: "Drop replies",
    delay: "Delay",
    buffer: "Buffer the stream",
  } satisfies Record<FaultKind, string>,
  delayBy: "Delay by",
  delayOf: (ms: number) => (ms < 1000 ? `${ms} ms` : `${ms / 1000} s`),
  begun: (fault: Fault, name: string | null) => `${short[fault.kind]} for ${name ?? "everybody"}.`,
  healed: "Nothing is broken.",
  chip: (fault: Fault, name: string | null) =>
    `${short[fault.kind]} for ${name ?? "everybody"}, ${plural(Math.ceil(fault.seconds_left), "second", "seconds")} left`,

  tab: "This tab",
  freeze: (seconds: number) => `Freeze for ${seconds} s`,
  frozen: "Frozen",
  explainFreeze:
    "Keeps this tab’s own script busy. A page cannot ask the browser to suspend it; for its messages it is the same.",

  server: "The server",
  nodes: "The nodes",
  kill: (number: number | null) => (number === null ? "Kill it" : `Kill node ${number}`),
  start: (number: number | null) => (number === null ? "Start it" : `Start node ${number}`),
  explainKill: "kill -9, no goodbye. It is started again after 20 s.",
  explainNodes:
    "One database, several server processes. Kill the one that has your stream (kill -9): another takes it over. " +
    "It is started again after 20 s.",
  nodeRuns: (processId: number | null) => (processId === null ? "Running." : `Running, process ${processId}.`),
  nodeStarts: "Starting.",
  streams: (names: readonly string[]) =>
    names.length === 0 ? "It has no stream." : `It has the stream of ${list.format(names)}.`,
  nodeDead: (number: number | null, seconds: number | null) =>
    `${number === null ? "Dead." : `Node ${number} is dead.`}${
      seconds === null ? "" : ` Starts again in ${plural(Math.ceil(seconds), "second", "seconds")}.`
    }`,

  traffic: "Traffic",
  explainTraffic: (one: string, other: string) => `${one} and ${other} write to each other, each`,
  perSecond: (count: number) => `${count} a second`,
  rate: "Messages a second",
  startTraffic: "Start",
  stopTraffic: (seconds: number) => `Stop (${Math.ceil(seconds)} s left)`,
  noWindow: (name: string) => `${name} has no window open and cannot write back.`,
  openWindow: (name: string) => `Open ${name}’s window`,
  trafficText: (number: number, name: string) => `Traffic ${number} from ${name}`,

  restore: "Restore everything",
  unreachable: "The demo does not answer: it has ended, or is being started.",
  restarted: "The demo was started anew. Reload this page.",
} as const;
