// Stops all scaling, or lets it go on: asked twice, with a reason. Shown where the gateway says that it can.

import { ask } from "./connection.js";
import { byId, show, text } from "./dom.js";

let frozen = null;

export function freeze(snapshot) {
  frozen = snapshot.frozen;
  const button = byId("freeze");
  show(button, snapshot.can_freeze === true);
  text(button, frozen ? "Thaw scaling" : "Freeze scaling");
}

export function prepare() {
  const dialog = byId("freezing");
  byId("freeze").addEventListener("click", () => {
    text(byId("freezing-title"), frozen ? "Thaw scaling?" : "Freeze scaling?");
    text(byId("freezing-text"), frozen
      ? "Pacer scales again as it plans."
      : "Requests go on being served and routed. Nothing is scaled, warmed or changed in AWS until somebody thaws it.");
    text(byId("freezing-yes"), frozen ? "Thaw" : "Freeze");
    text(byId("freezing-wrong"), "");
    show(byId("freezing-ask"), !frozen);
    byId("freezing-reason").value = "";
    dialog.showModal();
  });
  byId("freezing-no").addEventListener("click", () => dialog.close());
  byId("freezing-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const yes = byId("freezing-yes");
    yes.disabled = true;
    try {
      const body = frozen ? {} : { reason: byId("freezing-reason").value.trim() };
      await ask(frozen ? "/thaw" : "/freeze", { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
      dialog.close();
    } catch (error) {
      text(byId("freezing-wrong"), `Not done: ${error.message}`);
    } finally {
      yes.disabled = false;
    }
  });
}
