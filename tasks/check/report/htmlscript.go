package report

// pageScript makes tables sortable by the buttons it puts into their heads and
// searches the conditions. Without it the page shows the same, in the order
// of the report.
const pageScript = `"use strict";
document.querySelectorAll("table.sort").forEach(function(table){
var body=table.tBodies[0],heads=table.tHead.rows[0].cells;
if(body.rows.length<2)return;
function key(row,i){var c=row.cells[i];return c?(c.dataset.key||c.textContent.trim()):"";}
function num(s){var n=parseFloat(s.replace(/[,%\s]/g,"").replace("−","-").replace("∞","Infinity"));return isNaN(n)?null:n;}
Array.prototype.forEach.call(heads,function(th,i){
var b=document.createElement("button");b.type="button";b.className="by";
while(th.firstChild)b.appendChild(th.firstChild);
th.appendChild(b);
b.addEventListener("click",function(){
var down=th.getAttribute("aria-sort")==="ascending";
Array.prototype.forEach.call(heads,function(h){h.removeAttribute("aria-sort");});
th.setAttribute("aria-sort",down?"descending":"ascending");
var rows=Array.prototype.slice.call(body.rows);
var numbers=rows.every(function(r){var k=key(r,i);return k===""||k==="–"||num(k)!==null;});
rows.sort(function(x,y){var a=key(x,i),c=key(y,i),d;
if(numbers){a=num(a);c=num(c);if(a===null||c===null)return a===c?0:a===null?1:-1;d=a-c;}else d=a<c?-1:a>c?1:0;
return down?-d:d;});
rows.forEach(function(r){body.appendChild(r);});
});});});
var search=document.getElementById("search");
if(search){search.parentNode.hidden=false;
search.addEventListener("input",function(){var q=search.value.toLowerCase();
Array.prototype.forEach.call(document.getElementById("conditions-table").tBodies[0].rows,function(r){
r.classList.toggle("unfound",q!==""&&r.textContent.toLowerCase().indexOf(q)<0);});});}
`
