/* A small window opened for sign-in at the provider notifies the waiting page, and closes. */
new BroadcastChannel("echo-session").postMessage("signed-in");
window.close();
