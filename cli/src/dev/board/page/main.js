// Joins the parts of the board to its feed.

import { byId, clock, plain, say, uncoloured } from "./elements.js";
import { showCourse } from "./actions.js";
import { countEffects, showFaults, showFaultForm } from "./faults.js";
import { countRequests, forgetRequests, showRequests } from "./requests.js";
import { listen } from "./server.js";
import { showStages } from "./stages.js";

const STATES = {
  live: "live",
  lost: "stagelink dev does not answer",
  locked: "locked",
};

let wasLive = false;

function showState(state) {
  const link = byId("link");
  link.className = `link ${state}`;
  say(link, STATES[state]);
  byId("locked").hidden = state !== "locked";
  // The server sends all requests again.
  if (state === "live" && wasLive) forgetRequests();
  wasLive ||= state === "live";
}

/** The ids of requests whose ends have come. The server keeps 2,000, and sends those again after a gap. */
const ended = new Set();
const MOST_ENDED = 4000;

/** Returns the records of requests that have ended and were not counted before. */
function newlyEnded(records) {
  const fresh = records.filter((record) => record.is_finished && !ended.has(record.id));
  for (const { id } of fresh) ended.add(id);
  // A set has its members in the order in which they came.
  for (const id of ended) {
    if (ended.size <= MOST_ENDED) break;
    ended.delete(id);
  }
  return fresh;
}

let isRemote = false;

/** Shows what the board is of. */
function showAbout({ pipeline, remote }) {
  isRemote = remote != null;
  say(byId("pipeline"), pipeline);
  document.title = `${plain(pipeline)}: stagelink dev`;
  byId("remote").hidden = !isRemote;
  byId("local-faults").hidden = isRemote;
  if (isRemote) say(byId("remote-stage"), `${remote.stage}, ${remote.access}`);
}

function showBuild(build) {
  const phases = {
    served: `the last change is served since ${clock(build.since)}`,
    building: "building …",
    failed: "the last change is not served",
  };
  byId("build").className = `build ${build.phase}`;
  say(byId("build-phase"), phases[build.phase]);
  say(byId("build-activity"), build.phase === "building" ? build.activity : "");
  byId("build-failed").hidden = build.error == null;
  say(byId("build-error"), uncoloured(build.error ?? ""));
}

listen({
  about: showAbout,
  stages: (board) => {
    showStages(board);
    if (!isRemote) showFaultForm(board.stages);
  },
  requests: (records) => {
    showRequests(records);
    const fresh = newlyEnded(records);
    countRequests(fresh);
    countEffects(fresh);
  },
  gap: forgetRequests,
  build: showBuild,
  faults: showFaults,
  action: showCourse,
}, showState);
